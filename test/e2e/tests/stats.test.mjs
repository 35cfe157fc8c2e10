// The panel of statistics in Chromium: its figures move, in both languages, and by
// keyboard; the API and the traces of the server tell the same call.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { noErrors, Person, receives, results } from "../lib/people.mjs";
import { build, freeTCP, startServer, waitFor } from "../lib/server.mjs";

/** What a graph shows, by the words of its picture: "…: now 1.2 Mbit/s, at most …". */
const words = (scope, title) => scope.locator(`[data-graph="${title}"] > svg`).first().getAttribute("aria-label");

const curve = (scope, title) => scope.locator(`[data-graph="${title}"] > svg path.c0`).first().getAttribute("d");

describe("statistics in Chromium", { timeout: 300_000 }, () => {
  let server, browser, ana, bo, dir, admin;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "parley-traces-"));
    admin = await freeTCP();
    server = await startServer({ args: ["--trace-dir", dir, "--admin", `127.0.0.1:${admin}`] });
    browser = await launchChromium();
    const url = server.room("e2e-stats");
    ana = await Person.join(browser, `${url}?simulcast`, "Ana");
    bo = await Person.join(browser, url, "Bo", { locale: "zh-CN" });
    // The server's part of the figures needs media by way of the server.
    await owner(async (token) => {
      const r = await fetch(`${server.base}/api/v1/conferences/e2e-stats/topology`, { method: "PUT", headers: headers(token), body: JSON.stringify({ topology: "sfu" }) });
      assert.equal(r.status, 200, await r.text());
    });
    await receives(ana, 1, 1);
    await receives(bo, 1, 1);
  }, { timeout: 150_000 });

  after(async () => {
    await browser?.close();
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const headers = (token) => ({ Authorization: `Bearer ${token}`, "Content-Type": "application/json" });

  async function owner(f) {
    const r = await fetch(`${server.base}/auth/exchange`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "admin" }) });
    return f((await r.json()).token);
  }

  test("a button opens the panel, and its graphs move", async () => {
    await ana.press("Statistics");
    const panel = ana.page.getByRole("complementary", { name: "Statistics" });
    await panel.waitFor();
    const down = () => words(panel, "To you");
    await waitFor(async () => /Received: now [\d.]+ [kM]bit\/s, at most/.test((await down()) ?? ""), "a rate is shown");
    await waitFor(async () => /The path could carry: now [\d.]+ [kM]bit\/s/.test((await down()) ?? ""), "the server's estimate is shown");
    await waitFor(async () => /Round trip: now \d+ ms/.test((await words(panel, "Round trip")) ?? ""), "a round trip is shown");
    await waitFor(async () => /From you: now \d/.test((await words(panel, "Loss")) ?? ""), "what the server lost of ours is shown");
    const before = await curve(panel, "To you");
    await waitFor(async () => (await curve(panel, "To you")) !== before, "the curve moves on");
    await waitFor(async () => ((await curve(panel, "To you"))?.match(/L/g)?.length ?? 0) >= 8, "a line of several points");

    const his = panel.locator("details", { hasText: "Bo" });
    await waitFor(async () => /Rate: now [\d.]+ [kM]bit\/s/.test((await words(his, "Rate")) ?? ""), "the rate of Bo's picture");
    await waitFor(async () => /now [1-9]\d+, /.test((await words(his, "Pictures a second")) ?? ""), "pictures a second");
    await waitFor(async () => /now [1-9]\d+, /.test((await words(his, "Picture height")) ?? ""), "the height of the picture");
    await waitFor(async () => /Quality\s*[1-5]\.\d of 5/.test((await his.textContent()) ?? ""), "a score from 1 to 5");
    await waitFor(async () => /State\s*flowing/.test((await his.textContent()) ?? ""), "the server's word on the stream");
    await waitFor(async () => /\d+×\d+ · \d+\/s · /.test((await ana.page.locator('.tile[data-self="false"] .tile-stats').first().textContent()) ?? ""), "the tile says what arrives");
    await ana.shot("stats-en.png");
    noErrors(ana);
  });

  test("the keyboard opens and closes it, in Chinese as well; layers of a simulcast are shown", async () => {
    await bo.page.keyboard.press("Alt+S");
    const panel = bo.page.getByRole("complementary", { name: "统计信息" });
    await panel.waitFor();
    await waitFor(async () => /接收：当前 [\d.]+ [kM]bit\/s/.test((await words(panel, "下行")) ?? ""), "a rate is shown");
    const hers = panel.locator("details", { hasText: "Ana" });
    await waitFor(async () => /第 \d 层（共 [23] 层）/.test((await hers.textContent()) ?? ""), "which layer of how many", 40_000);
    await bo.page.waitForTimeout(8_000); // for the picture that people look at: curves of some length
    await bo.shot("stats-zh.png");
    await panel.locator(".stats-body").focus();
    await bo.page.keyboard.press("Escape");
    await waitFor(async () => (await panel.count()) === 0, "Escape closes it");
    await bo.page.keyboard.press("Alt+S");
    await panel.waitFor();
    await bo.page.keyboard.press("Alt+S");
    await waitFor(async () => (await panel.count()) === 0, "the same keys close it");
    assert.equal(await bo.page.locator(".tile-stats").count(), 0, "and the lines on tiles with it");
    noErrors(bo);
  });

  test("on a phone it is reached by the mark of one's own quality", async () => {
    const phone = await Person.join(browser, server.room("e2e-stats"), "Cem", { viewport: { width: 390, height: 760 } });
    await phone.page.getByRole("button", { name: "Connection", exact: true }).click();
    await phone.page.locator(".pop").getByRole("button", { name: "Statistics" }).click();
    const panel = phone.page.getByRole("complementary", { name: "Statistics" });
    await waitFor(async () => /Received: now [\d.]+ [kM]bit\/s/.test((await words(panel, "To you")) ?? ""), "a rate is shown");
    await phone.shot("stats-phone.png");
    noErrors(phone);
    await phone.page.close();
  });

  test("the API and the metrics tell of the same call", async () => {
    await owner(async (token) => {
      const get = async (path) => {
        const r = await fetch(`${server.base}/api/v1${path}`, { headers: headers(token) });
        assert.equal(r.status, 200, path);
        return r.json();
      };
      const all = await get("/conferences/e2e-stats/statistics");
      assert.ok(all.summary.connections >= 2 && all.summary.rateIn > 50_000 && all.summary.rateOut > 50_000, JSON.stringify(all.summary));
      const row = all.participants.find((p) => p.connections === 1 && p.scoreOut > 1);
      assert.ok(row && row.scoreOut <= 5, JSON.stringify(all.participants));
      const one = await get(`/conferences/e2e-stats/participants/${row.part}/statistics`);
      const c = one.connections[0];
      assert.equal(c.control.feedback, "twcc");
      assert.ok(c.in.some((s) => s.live && s.kind === "video" && s.width > 0) && c.out.some((s) => s.state === "flowing" && s.bitrate > 0), JSON.stringify(c));
      const { connections } = await get("/conferences/e2e-stats/connections");
      assert.ok(connections.every((x) => /^[0-9a-f]{16}\.sqlog$/.test(x.trace)), "connections name their traces");
    });
    const page = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
    const value = (series) => Number(page.split("\n").find((l) => l.startsWith(series + " "))?.split(" ")[1]);
    assert.ok(value('parley_media_bits{direction="in",kind="video"}') > 20_000, "bit rate of video in");
    assert.ok(value('parley_link_rtt_seconds{le="+Inf"}') >= 2, "round trips");
    assert.ok(value('parley_stream_score{direction="out",kind="video",le="5"}') >= 1, "scores");
    assert.ok(value("parley_estimates_bits") > 100_000, "estimates");
    assert.ok(value("parley_traces") >= 2, "traces being written");
  });

  test("traces hold the call, no names or addresses, are switched off and on, and are drawn", async () => {
    const files = readdirSync(dir).filter((f) => f.endsWith(".sqlog"));
    assert.ok(files.length >= 2, files.join());
    const put = (on) => owner(async (token) => {
      const r = await fetch(`${server.base}/api/v1/traces`, { method: "PUT", headers: headers(token), body: JSON.stringify({ on }) });
      assert.equal(r.status, 200);
      return r.json();
    });
    assert.equal((await put(false)).on, false);
    await waitFor(async () => files.some((f) => /media:stopped/.test(readFileSync(join(dir, f), "utf8"))), "the files end");
    for (const f of files) {
      const text = readFileSync(join(dir, f), "utf8");
      assert.ok(!/Ana|Bo|Cem|e2e-stats|127\.0\.0\.1|candidate|ufrag|eyJ|sip:/.test(text), `${f} tells who or where`);
    }
    const busy = files.map((f) => join(dir, f)).sort((a, b) => readFileSync(b).length - readFileSync(a).length)[0];
    const png = join(dir, "call.png");
    execFileSync(build(), ["trace", busy, "-o", png, "-q"]);
    assert.equal(readFileSync(png).subarray(1, 4).toString(), "PNG");
    assert.equal((await put(true)).on, true);
    await waitFor(async () => existsSync(busy.replace(/\.sqlog$/, "-2.sqlog")), "the next part of a connection that lives on");
    copyFileSync(png, join(results, "trace-chromium.png"));
  });
});
