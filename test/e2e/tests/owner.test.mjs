// The owner's page: meetings are made, scheduled, opened, ended, reopened and
// deleted; guests of --dev and strangers see the simple start page.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { devices } from "playwright-core";
import { launchChromium } from "../lib/browsers.mjs";
import { noErrors, Person } from "../lib/people.mjs";
import { startServer, waitFor } from "../lib/server.mjs";

const { defaultBrowserType: _, ...phone } = devices["Pixel 7"];

describe("owner's page", { timeout: 300_000 }, () => {
  let server, browser, olga, link;

  before(async () => {
    server = await startServer({ dev: false });
    browser = await launchChromium();
    const key = readFileSync(join(server.data, readdirSync(server.data).find((f) => f.startsWith("owner"))), "utf8").trim();
    link = `${server.base}/#owner=${encodeURIComponent(key)}`;
    olga = await Person.open(browser, link, "Olga", { permissions: ["camera", "microphone", "clipboard-read", "clipboard-write"], timezoneId: "Europe/Berlin" });
  }, { timeout: 120_000 });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  const section = (name) => olga.page.getByRole("region", { name, exact: true });
  const row = (uri) => olga.page.locator(`.meeting[data-uri="${uri}"]`);

  test("the start page is simple for everybody else", async () => {
    const p = await Person.open(browser, server.base, "Eve");
    await p.page.getByRole("button", { name: "Start meeting" }).waitFor();
    assert.equal(await p.page.getByRole("button", { name: "New meeting" }).count(), 0);
    noErrors(p);
    await p.close();
  });

  test("a meeting is scheduled, with a lobby, and one is made for now", async () => {
    await olga.page.getByRole("heading", { name: "Your meetings" }).waitFor();
    await olga.press("New meeting");
    await olga.page.getByLabel("Title").fill("Town hall");
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    await olga.page.getByLabel("Starts at").fill(`${tomorrow}T10:00`);
    await olga.page.getByLabel("Ends at").fill(`${tomorrow}T11:30`);
    await olga.page.getByLabel("With a lobby").check();
    await olga.shot("owner-new-en.png");
    await olga.press("Schedule");
    await section("Scheduled").getByText("Town hall").waitFor();
    await row("Town-hall").getByText("10:00").waitFor();
    await olga.press("New meeting");
    await olga.page.getByLabel("Title").fill("周会");
    await olga.press("Create");
    await section("Scheduled").getByText("周会").waitFor();
    await olga.press("New meeting");
    await olga.page.getByLabel("Title").fill("Town hall");
    await olga.press("Create");
    await olga.page.getByText("There is a meeting of this name already").waitFor();
    await olga.press("New meeting");
  });

  test("invitations name a role; the policy holds for those who come", async () => {
    await row("Town-hall").getByRole("button", { name: "More for Town hall" }).click();
    await row("Town-hall").getByLabel("Invite as").selectOption("attendee");
    await row("Town-hall").getByRole("button", { name: "Copy invitation" }).click();
    const invitation = await waitFor(() => olga.page.evaluate(() => navigator.clipboard.readText()), "an invitation");
    assert.match(invitation, /\/r\/Town-hall#invite=/);
    const tab = await olga.context.newPage();
    const host = new Person(tab, "Olga", olga.context);
    const entries = await olga.page.evaluate(() => Object.entries({ ...sessionStorage }));
    await tab.goto(server.base);
    await tab.evaluate((list) => list.forEach(([k, v]) => sessionStorage.setItem(k, v)), entries);
    await tab.goto(server.room("Town-hall"));
    await host.enter();
    const gus = await Person.open(browser, invitation, "Gus");
    await gus.knock();
    await gus.page.getByRole("heading", { name: "You are waiting to be let in" }).waitFor();
    await host.press("Admit Gus");
    await gus.inRoom();
    await section("Active").getByText("Town hall").waitFor({ timeout: 30_000 });
    await row("Town-hall").getByText("2 people").waitFor({ timeout: 30_000 });
    await olga.shot("owner-active-en.png");
    await olga.page.getByLabel("Language").selectOption("zh");
    await olga.page.getByRole("heading", { name: "您的会议" }).waitFor();
    await olga.shot("owner-active-zh.png");
    await olga.page.getByLabel("语言").selectOption("en");
    await row("Town-hall").getByRole("button", { name: "End", exact: true }).click();
    await gus.page.getByRole("heading", { name: "The meeting has ended" }).waitFor();
    await section("Ended").getByText("Town hall").waitFor({ timeout: 30_000 });
    noErrors(gus, host);
    await gus.close();
    await tab.close();
  });

  test("an ended meeting is reopened, and deleted in the end", async () => {
    await row("Town-hall").getByRole("button", { name: "Reopen" }).click();
    await section("Scheduled").getByText("Town hall").waitFor();
    const more = row("Town-hall").getByRole("button", { name: "More for Town hall" });
    if ((await more.getAttribute("aria-expanded")) !== "true") await more.click();
    await row("Town-hall").getByRole("button", { name: "Delete" }).click();
    const question = olga.page.getByRole("dialog");
    await question.getByText("Delete Town hall?").waitFor();
    await olga.shot("owner-delete-en.png");
    await question.getByRole("button", { name: "Delete" }).click();
    await waitFor(async () => (await row("Town-hall").count()) === 0, "the meeting is gone");
    assert.equal(await section("Scheduled").getByText("周会").count(), 1, "the other one is still there");
  });

  test("on a phone, in the dark; and signed out", async () => {
    const small = await Person.open(browser, link, "Olga", { ...phone, locale: "zh-CN", colorScheme: "dark" });
    await small.page.getByRole("heading", { name: "您的会议" }).waitFor();
    await small.page.getByText("周会").waitFor();
    await small.page.getByRole("button", { name: "新建会议" }).click();
    await small.shot("owner-phone-zh-dark.png");
    assert.equal(await small.page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "no sideways scrolling on a phone");
    noErrors(small);
    await small.page.getByRole("button", { name: "退出登录" }).click();
    await small.page.getByRole("button", { name: "开始会议" }).waitFor();
    await small.page.reload();
    await small.page.getByRole("button", { name: "开始会议" }).waitFor();
    await small.close();
  });
});
