// What nobody wants large is not encoded large: the sender's own statistics, while
// the others show thumbnails, large pictures, and nothing.

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { motionFile } from "../lib/media.mjs";
import { flow, noErrors, Person } from "../lib/people.mjs";
import { finish, startServer, waitFor } from "../lib/server.mjs";

const wait = (ms) => new Promise((r) => setTimeout(r, ms));

/** For addInitScript: who only watches has no camera and is silent. */
const watcher = () => {
  localStorage.setItem("parley.pref.camOn", "0");
  localStorage.setItem("parley.pref.micOn", "0");
};

/** For addInitScript: notes how the sender sets its encodings. */
const spy = () => {
  window.__active = [];
  const set = RTCRtpSender.prototype.setParameters;
  RTCRtpSender.prototype.setParameters = function (p) {
    if (p.encodings.length > 1) window.__active.push(p.encodings.filter((e) => e.active !== false).map((e) => e.rid).join(""));
    return set.call(this, p);
  };
};

/** Pictures and bytes of each encoding over a while, by RID. */
async function encoded(person, ms) {
  const read = async () => new Map((await person.stats()).outbound.filter((s) => s.rid).map((s) => [s.rid, s]));
  const before = await read();
  await wait(ms);
  const out = {};
  for (const [rid, s] of await read()) {
    const old = before.get(rid);
    out[rid] = { frames: (s.framesEncoded ?? 0) - (old?.framesEncoded ?? 0), kbits: Math.round((8 * (s.bytesSent - (old?.bytesSent ?? 0))) / ms), height: s.frameHeight };
  }
  return out;
}

const sending = (e) => Object.keys(e).filter((rid) => e[rid].frames > 0).sort().join("");

describe("encodings that nobody wants", { timeout: 300_000 }, () => {
  let server, browser, dir;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "parley-e2e-motion-"));
    server = await startServer();
    browser = await launchChromium([`--use-file-for-fake-video-capture=${motionFile(join(dir, "motion.y4m"), { rate: 15 })}`]);
  }, { timeout: 120_000 });

  after(() => finish(server, { browser, dir }));

  /** The tile of Ana on a page, and how large its picture is. */
  const picture = (p) => p.page.evaluate(() => {
    const v = document.querySelector('.tile[aria-label="Ana"] video');
    return v ? { width: v.videoWidth, height: v.videoHeight, box: v.clientWidth } : null;
  });

  test("SFM-9: thumbnails alone leave only the lowest on; a large one brings the others back, and nobody sees a break", async () => {
    const room = `${server.room("dynacast")}?simulcast`;
    const ana = await Person.open(browser, room, "Ana", {}, spy);
    await ana.enter();
    const bo = await Person.open(browser, room, "Bo", { viewport: { width: 1440, height: 900 } }, watcher);
    await bo.enter();
    const cem = await Person.open(browser, room, "Cem", { viewport: { width: 1440, height: 900 } }, watcher);
    await cem.enter();
    await waitFor(async () => (await picture(bo))?.height >= 360 && (await picture(cem))?.height >= 360, "both see Ana in a large picture", 60_000);
    const all = await encoded(ana, 3_000);
    console.log("    large pictures:", JSON.stringify(all), JSON.stringify(await picture(bo)));

    // Thumbnails: small windows.
    await bo.page.setViewportSize({ width: 360, height: 420 });
    await cem.page.setViewportSize({ width: 360, height: 420 });
    const from = Date.now();
    const low = await waitFor(async () => {
      const e = await encoded(ana, 1_000);
      return sending(e) === "q" ? e : Promise.reject(new Error(JSON.stringify(e)));
    }, "only the lowest is encoded", 20_000, 50);
    console.log(`    thumbnails: only the lowest after ${Date.now() - from} ms`, JSON.stringify(low), JSON.stringify(await picture(bo)));
    assert.ok(Object.keys(low).length > 1, "there were several encodings");
    const still = await flow(bo, 3_000);
    assert.ok(still.find((s) => s.kind === "video")?.frames > 20, `Bo goes on seeing: ${JSON.stringify(still)}`);
    assert.equal(sending(await encoded(ana, 3_000)), "q", "it stays so");

    // One of them wants it large again.
    await bo.page.setViewportSize({ width: 1440, height: 900 });
    const again = Date.now();
    await waitFor(async () => (await picture(bo))?.height >= 360, "Bo sees the large picture again", 20_000, 50);
    const back = Date.now() - again;
    const e = await encoded(ana, 2_000);
    console.log(`    on demand: a large picture after ${back} ms`, JSON.stringify(e));
    assert.ok(sending(e).length > 1, JSON.stringify(e));
    assert.ok((await picture(cem)).height < 360, "Cem still has the thumbnail");

    // Nobody sees it at all.
    await bo.page.setViewportSize({ width: 360, height: 420 });
    for (const p of [bo, cem]) await p.page.evaluate(() => document.querySelector(".stage").style.setProperty("display", "none"));
    await waitFor(async () => (await flow(bo, 1_000)).every((s) => s.kind !== "video" || s.frames === 0), "Bo is sent no picture that he does not see", 20_000, 50);
    await waitFor(async () => sending(await encoded(ana, 1_000)) === "q", "the lowest alone", 20_000, 50);
    await bo.page.evaluate(() => document.querySelector(".stage").style.removeProperty("display"));
    await waitFor(async () => (await flow(bo, 500)).some((s) => s.kind === "video" && s.frames > 0), "Bo sees again", 10_000, 50);

    console.log("    as the sender set them:", (await ana.page.evaluate(() => window.__active)).join(" "));
    noErrors(ana, bo, cem);
    for (const p of [ana, bo, cem]) await p.close();
  });

  test("last-N: who is not among those who spoke is shown as not received, and comes back with the policy", async () => {
    const room = server.room("lastn");
    const people = [];
    for (const name of ["Ana", "Bo", "Cem"]) people.push(await Person.join(browser, room, name));
    const [ana, bo] = people;
    const pictures = () => bo.page.evaluate(() => [...document.querySelectorAll('.tile[data-kind="person"]:not([data-self="true"])')].map((x) => [x.getAttribute("aria-label"), x.querySelector("video") !== null, x.dataset.withheld ?? ""]));
    await waitFor(async () => (await pictures()).filter((x) => x[1]).length === 2, "Bo sees two", 45_000);
    // All have the same sound, so that whoever speaks is a matter of chance: one alone goes on.
    for (const p of people.slice(1)) await p.press("Mute");
    await ana.press("People");
    await ana.page.getByLabel("Cameras shown at a time").selectOption("1");
    const seen = await waitFor(async () => {
      const list = await pictures();
      return list.filter((x) => x[1]).length === 1 && list.some((x) => x[2] === "last-n") ? list : Promise.reject(new Error(JSON.stringify(list)));
    }, "Bo sees one, and an avatar for the other", 20_000);
    console.log("    one camera:", JSON.stringify(seen));
    await bo.shot("last-n.png");
    const f = await flow(bo);
    assert.equal(f.filter((s) => s.kind === "video" && s.frames > 0).length, 1, JSON.stringify(f));
    // Whom he pins is always shown.
    const hidden = seen.find((x) => x[2] === "last-n")[0];
    await bo.page.getByRole("button", { name: `Pin ${hidden}` }).click({ force: true });
    await waitFor(async () => (await pictures()).some((x) => x[0] === hidden && x[1]), "the pinned one is shown", 20_000);
    await ana.page.getByLabel("Cameras shown at a time").selectOption("0");
    await waitFor(async () => (await pictures()).filter((x) => x[1]).length === 2, "Bo sees both again", 20_000);
    noErrors(...people);
    for (const p of people) await p.close();
  });
});
