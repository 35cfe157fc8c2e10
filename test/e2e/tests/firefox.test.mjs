// Two people in Firefox ESR and one in Chromium, VP8 and Opus. Firefox needs an
// address that is not loopback, which the server announces in --dev.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { join } from "node:path";
import { launchChromium, launchFirefox } from "../lib/browsers.mjs";
import { Person, receives, results, roster } from "../lib/people.mjs";
import { hostAddress, startServer, waitFor } from "../lib/server.mjs";

/** The same surface as Person, on a puppeteer page. */
class Fox {
  constructor(page, name) {
    this.page = page;
    this.name = name;
  }
  static async join(browser, url, name) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.setViewport({ width: 1280, height: 800 });
    await page.goto(url);
    const fox = new Fox(page, name);
    await (await page.waitForSelector('input[autocomplete="name"]')).type(name);
    await (await page.waitForSelector('button[aria-label="Join"]')).click();
    await page.waitForSelector('button[aria-label="Leave"]', { timeout: 40_000 });
    return fox;
  }
  stats() {
    return this.page.evaluate(() => window.__parley.stats());
  }
  async names() {
    return (await this.page.evaluate(() => window.__parley.participants())).map((p) => p.name).sort();
  }
}

describe("Firefox and Chromium together", { timeout: 300_000 }, () => {
  let server, firefox, chromium, fay, finn, cleo;

  before(async () => {
    assert.ok(hostAddress(), "a host address that is not loopback is needed");
    server = await startServer();
    firefox = await launchFirefox();
    chromium = await launchChromium();
    const url = server.room("e2e-foxes");
    fay = await Fox.join(firefox, url, "Fay");
    finn = await Fox.join(firefox, url, "Finn");
    cleo = await Person.join(chromium, url, "Cleo");
  }, { timeout: 180_000 });

  after(async () => {
    await firefox?.close();
    await chromium?.close();
    await server?.stop();
  });

  test("everyone decodes the two others in VP8 and Opus", async () => {
    await roster([fay, finn, cleo], ["Cleo", "Fay", "Finn"]);
    for (const p of [cleo, fay, finn]) {
      const f = await receives(p, 2, 2, 60_000);
      for (const s of f) assert.match(s.codec ?? "", s.kind === "video" ? /VP8/i : /opus/i);
    }
    await fay.page.screenshot({ path: join(results, "firefox-call.png") });
    await cleo.shot("firefox-chromium-call.png");
  });

  test("the two that are left talk directly, Firefox and Chromium", async () => {
    await (await fay.page.waitForSelector('button[aria-label="Leave"]')).click();
    for (const p of [cleo, finn]) {
      await waitFor(async () => {
        const f = await p.page.evaluate(() => window.__parley.flow());
        return f.path === "direct" && f.server === null ? f : Promise.reject(new Error(JSON.stringify(f)));
      }, `${p.name} is connected to the other`, 40_000);
      await receives(p, 1, 1, 40_000);
    }
  });

  test("E1: an encrypted meeting goes over both", async () => {
    const url = `${server.room("e2e-sealed")}?e2ee`;
    const fox = await Fox.join(firefox, url, "Fox");
    const chrome = await Person.join(chromium, url, "Chrome");
    for (const p of [fox, chrome]) await receives(p, 1, 1, 60_000);
    const seal = (p) => p.page.evaluate(() => window.__parley.seal());
    await waitFor(async () => {
      const all = [await seal(fox), await seal(chrome)];
      if (all.every((s) => s.number !== "" && s.number === all[0].number && s.states.length === 2 && s.states.every((x) => x.state === "secure"))) return true;
      throw new Error(JSON.stringify(all));
    }, "both decrypt and have the same safety number");
  });
});
