// The pages on a desktop and a phone, in both languages; screenshots to look at.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { devices } from "playwright-core";
import { launchChromium } from "../lib/browsers.mjs";
import { noErrors, Person, receives, roster } from "../lib/people.mjs";
import { startServer, waitFor } from "../lib/server.mjs";

describe("pages", { timeout: 300_000 }, () => {
  let server, browser;

  before(async () => {
    server = await startServer();
    browser = await launchChromium();
  }, { timeout: 120_000 });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  const { defaultBrowserType: _, ...phone } = devices["Pixel 7"];

  test("start page leads to a room", async () => {
    const p = await Person.open(browser, server.base, "Ana");
    await p.shot("home-desktop-en.png");
    await p.page.getByLabel("Room name").fill("weekly sync");
    await p.press("Start meeting");
    await p.page.waitForURL("**/r/weekly-sync");
    await p.page.getByRole("button", { name: "Join", exact: true }).waitFor();
    noErrors(p);
    await p.close();
    const zh = await Person.open(browser, server.base, "王小明", { ...phone, locale: "zh-CN" });
    await zh.page.getByRole("button", { name: "开始会议" }).waitFor();
    await zh.shot("home-phone-zh.png");
    await zh.close();
  });

  test("preview: picture, level, devices, language", async () => {
    const p = await Person.open(browser, server.room("preview"), "Ana", { colorScheme: "dark" });
    await p.page.locator("video").waitFor();
    await waitFor(() => p.page.locator("video").evaluate((v) => v.videoWidth > 0), "the preview plays");
    await waitFor(() => p.page.locator(".level div").evaluate((d) => parseFloat(d.style.transform.slice(7)) > 0.05), "the level moves", 30_000, 50);
    await p.shot("preview-desktop-en-dark.png");
    await p.page.getByLabel("Language").selectOption("zh");
    await p.page.getByRole("button", { name: "加入", exact: true }).waitFor();
    await p.shot("preview-desktop-zh-dark.png");
    await p.page.reload();
    await p.page.getByRole("button", { name: "加入", exact: true }).waitFor(); // kept
    noErrors(p);
    await p.close();
    const small = await Person.open(browser, server.room("preview"), "Ana", phone);
    await small.page.locator("video").waitFor();
    await small.shot("preview-phone-en.png");
    await small.close();
  });

  test("without permission one joins to watch and listen", async () => {
    const host = await Person.join(browser, server.room("watch"), "Host");
    const guest = await Person.open(browser, server.room("watch"), "Watcher", { permissions: [] });
    await guest.page.addInitScript(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
    });
    await guest.page.reload();
    await guest.page.getByText("no permission for the camera").waitFor();
    await guest.shot("preview-denied.png");
    await guest.enter();
    await receives(guest, 1, 1);
    await roster([host, guest], ["Host", "Watcher"]);
    await guest.close();
    await host.close();
  });

  test("a phone and a desktop in one room, in two languages and two layouts", async () => {
    const url = server.room("mixed");
    const desk = await Person.join(browser, url, "Ana Lima");
    const small = await Person.join(browser, url, "王小明", { ...phone, locale: "zh-CN", colorScheme: "dark" });
    const third = await Person.join(browser, url, "Bo Berg", { locale: "zh-CN", colorScheme: "dark" });
    await receives(desk, 2, 2);
    await receives(small, 2, 2);
    await third.page.getByRole("button", { name: "关闭视频", exact: true }).click();
    await desk.page.getByRole("button", { name: "People", exact: true }).click();
    await desk.page.waitForTimeout(2_500); // let a grade of quality appear for the picture
    await desk.shot("call-desktop-en-people.png");
    await third.shot("call-desktop-zh-dark.png");
    await small.shot("call-phone-zh-dark.png");
    await desk.press("Close");
    await desk.press("Speaker view");
    await desk.page.locator(".spotlight").waitFor();
    await desk.shot("call-desktop-en-speaker.png");
    await small.page.getByRole("button", { name: "演讲者视图" }).click();
    await small.page.locator(".spotlight").waitFor();
    await small.shot("call-phone-zh-speaker.png");
    const wide = await small.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.equal(wide, false, "no sideways scrolling on a phone");
    noErrors(desk, small, third);
    for (const p of [desk, small, third]) await p.close();
  });
});
