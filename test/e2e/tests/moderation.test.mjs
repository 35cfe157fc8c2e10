// A moderator at work: the lobby, muting, asking, breakout rooms, expelling; and
// what those see who are none. The server refuses them even when asked anyway.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { devices } from "playwright-core";
import { launchChromium } from "../lib/browsers.mjs";
import { noErrors, Person, receives, roster } from "../lib/people.mjs";
import { startServer, waitFor } from "../lib/server.mjs";

const { defaultBrowserType: _, ...phone } = devices["Pixel 7"];
const clipboard = ["camera", "microphone", "clipboard-read", "clipboard-write"];

/** Sends a request past the page's own code; resolves with the response. */
function askServer(person, method, params) {
  return person.page.evaluate(
    ([method, params]) =>
      new Promise((resolve, reject) => {
        const socket = window.__sockets.at(-1);
        const id = `raw-${Math.random().toString(36).slice(2)}`;
        const hear = (ev) => {
          const f = JSON.parse(ev.data);
          if (f.kind !== "response" || f.id !== id || !f.final) return;
          socket.removeEventListener("message", hear);
          resolve({ code: f.code, reason: f.error?.reason });
        };
        socket.addEventListener("message", hear);
        setTimeout(() => reject(new Error("no answer")), 10_000);
        socket.send(JSON.stringify({ kind: "request", id, method, conf: window.__parley.self().conf, params }));
      }),
    [method, params],
  );
}

const person = (viewer, name) => viewer.people().then((list) => list.find((p) => p.name === name));
const muted = async (viewer, name) => (await person(viewer, name))?.devices.flatMap((d) => d.tracks).find((t) => t.source === "microphone")?.muted;

describe("moderation", { timeout: 600_000 }, () => {
  let server, browser, olga, gus, eva, link;

  before(async () => {
    server = await startServer({ dev: false });
    browser = await launchChromium();
  }, { timeout: 120_000 });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** Opens the tools for somebody in the panel of people. */
  async function manage(viewer, name) {
    const row = viewer.page.getByRole("button", { name: `Manage ${name}` });
    if ((await row.getAttribute("aria-expanded")) !== "true") await row.click();
    return viewer.page.getByRole("group", { name: `Manage ${name}` });
  }

  async function invitation(role) {
    await olga.page.getByLabel("Invite as").selectOption(role);
    await olga.press("Copy invitation");
    return waitFor(() => olga.page.evaluate(() => navigator.clipboard.readText()), "an invitation");
  }

  test("newcomers wait in the lobby until they are let in, one by one or all", async () => {
    const key = readFileSync(join(server.data, readdirSync(server.data).find((f) => f.startsWith("owner"))), "utf8").trim();
    olga = await Person.open(browser, `${server.base}/#owner=${encodeURIComponent(key)}`, "Olga", { permissions: clipboard });
    await olga.page.getByText("signed in as the owner").waitFor();
    await olga.page.goto(server.room("board"));
    await olga.enter();
    await olga.press("People");
    await olga.page.getByLabel("Newcomers wait for a moderator").check();
    link = await invitation("attendee");
    gus = await Person.open(browser, link, "Gus");
    await gus.knock();
    await gus.page.getByRole("heading", { name: "You are waiting to be let in" }).waitFor();
    await gus.shot("lobby-waiting-en.png");
    eva = await Person.open(browser, link, "王小明", { ...phone, locale: "zh-CN" });
    await eva.knock();
    await eva.page.getByRole("heading", { name: "您正在等候进入" }).waitFor();
    await eva.shot("lobby-waiting-phone-zh.png");
    await olga.page.getByRole("button", { name: "Admit all" }).waitFor();
    await olga.shot("lobby-panel-en.png");
    assert.deepEqual(await gus.names(), [], "who waits sees nobody");
    await olga.press("Admit Gus");
    await gus.inRoom();
    await olga.press("Close");
    await olga.page.getByRole("alert").getByRole("button", { name: "Admit 王小明" }).waitFor();
    await olga.shot("lobby-knock-en.png");
    await olga.press("Admit 王小明");
    await eva.inRoom();
    await roster([olga, gus, eva], ["Gus", "Olga", "王小明"]);
    await receives(gus, 2, 2);
    const rude = await Person.open(browser, link, "Rude");
    await rude.knock();
    await olga.press("Reject Rude");
    await rude.page.getByRole("heading", { name: "You were not let in" }).waitFor();
    await rude.close();
    noErrors(olga, gus, eva);
  });

  test("muted by a moderator, then asked, and only the owner of a microphone opens it", async () => {
    await olga.press("People");
    const tools = await manage(olga, "Gus");
    await tools.getByRole("button", { name: "Mute Gus" }).click();
    await gus.page.getByText("A moderator muted you").first().waitFor();
    await waitFor(() => muted(olga, "Gus"), "Gus is shown as muted");
    await gus.shot("muted-by-moderator-en.png");
    await gus.press("Unmute");
    await gus.page.getByText("Raise your hand to speak").waitFor();
    assert.equal(await muted(olga, "Gus"), true, "a muted one cannot open the microphone");
    await tools.getByRole("button", { name: "Ask to unmute" }).click();
    const question = gus.page.getByRole("alertdialog", { name: "Olga asks you to unmute" });
    await question.waitFor();
    await gus.shot("ask-to-unmute-en.png");
    assert.equal(await muted(olga, "Gus"), true, "asking opens nothing");
    await question.getByRole("button", { name: "Decline" }).click();
    await olga.page.getByText("Gus would rather not").waitFor();
    await tools.getByRole("button", { name: "Ask to unmute" }).click();
    await question.getByRole("button", { name: "Accept" }).click();
    await waitFor(async () => (await muted(olga, "Gus")) === false, "Gus is open again");
    await tools.getByRole("button", { name: "Stop video" }).click();
    await gus.page.getByText("A moderator stopped your video").first().waitFor();
    await tools.getByRole("button", { name: "Ask to start video" }).click();
    await gus.page.getByRole("alertdialog").getByRole("button", { name: "Accept" }).click();
    await receives(olga, 2, 2);
    await olga.press("Mute all");
    await waitFor(async () => (await muted(olga, "Gus")) && (await muted(olga, "王小明")), "all are muted");
    assert.equal(await muted(gus, "Olga"), false, "but not who said so");
    await olga.press("Let all unmute");
    await gus.press("Unmute");
    await waitFor(async () => (await muted(olga, "Gus")) === false, "Gus is open again");
    noErrors(olga, gus, eva);
  });

  test("raised hands have an order, chat has an unread mark and stays between two", async () => {
    await eva.page.getByRole("button", { name: "举手" }).click();
    await waitFor(async () => (await person(olga, "王小明")).hand === 1, "the first hand");
    await gus.press("Raise hand");
    await waitFor(async () => (await person(olga, "Gus")).hand === 2, "the second hand");
    await olga.page.getByRole("img", { name: "Hand raised, number 2" }).first().waitFor();
    await olga.shot("people-hands-en.png");
    await (await manage(olga, "王小明")).getByRole("button", { name: "Lower hand" }).click();
    await waitFor(async () => (await person(gus, "Gus")).hand === 1, "the next one moves up");
    await gus.press("Lower hand");
    await gus.press("Chat");
    await gus.page.getByLabel("Write a message").fill("Good morning");
    await gus.page.keyboard.press("Enter");
    await olga.page.getByRole("button", { name: "Chat, 1 unread" }).click();
    await olga.page.getByRole("complementary", { name: "Chat" }).getByText("Good morning").waitFor();
    await olga.page.getByLabel("To", { exact: true }).selectOption({ label: "Gus" });
    await olga.page.getByLabel("Write a message").fill("Between us");
    await olga.press("Send");
    await gus.page.getByText("Between us").waitFor();
    await olga.shot("chat-en.png");
    await eva.page.getByRole("button", { name: /^聊天/ }).click();
    await eva.page.getByRole("complementary", { name: "聊天" }).getByText("Good morning").waitFor();
    assert.equal(await eva.page.getByText("Between us").count(), 0, "private stays private");
    await eva.shot("chat-phone-zh.png");
    await eva.page.getByRole("button", { name: "关闭", exact: true }).click();
    await gus.press("Close");
    await olga.press("People");
  });

  test("one who is no moderator sees no such control, and the server refuses when asked anyway", async () => {
    await gus.press("People");
    for (const name of ["Mute all", "Lock room", "Breakout rooms", "End for all", "Admit all", "Start recording", "Share screen"]) {
      assert.equal(await gus.page.getByRole("button", { name, exact: true }).count(), 0, name);
    }
    assert.equal(await gus.page.getByLabel("Newcomers wait for a moderator").count(), 0);
    const tools = await manage(gus, "Olga");
    assert.deepEqual(await tools.getByRole("button").allTextContents(), ["Private message"]);
    await gus.shot("people-attendee-en.png");
    const { part } = await person(gus, "Olga");
    const track = (await person(gus, "Olga")).devices[0].tracks.find((t) => t.source === "microphone").id;
    const forbidden = {
      "track.mute": { track }, "track.unmute": { track }, "participant.expel": { part, ban: true }, "participant.setRole": { part, role: "attendee" }, "conference.lock": {},
      "conference.unlock": {}, "conference.end": {}, "conference.setPolicy": { policy: { lobby: false } }, "lobby.admit": { all: true }, "lobby.reject": { all: true },
      "hand.lower": { part }, "floor.grant": { request: "1" }, "participant.transfer": { part, to: "elsewhere" }, "recording.start": {},
    };
    for (const [method, params] of Object.entries(forbidden)) {
      const { code } = await askServer(gus, method, params);
      assert.equal(code, 403, `${method}: ${code}`);
    }
    assert.equal((await askServer(gus, "track.mute", { medium: "audio", scope: "all" })).code, 403);
    assert.equal((await askServer(gus, "sidebar.create", { title: "mine" })).code, 405);
    assert.equal(await muted(gus, "Olga"), false, "nothing has changed");
    await gus.press("Close");
  });

  test("two breakout rooms: opened, people moved, closed", async () => {
    await olga.press("Breakout rooms");
    const dialog = olga.page.getByRole("dialog", { name: "Breakout rooms" });
    await dialog.getByLabel("Room of Gus").selectOption({ label: "Room 1" });
    // The other one is dragged.
    await dialog.locator(".who-chip", { hasText: "王小明" }).dragTo(dialog.getByRole("region", { name: "Room 2" }));
    await dialog.getByRole("region", { name: "Room 2" }).getByText("王小明").waitFor();
    await olga.shot("breakouts-plan-en.png");
    await dialog.getByRole("button", { name: "Open rooms" }).click();
    await gus.page.getByText("You are in Room 1").waitFor();
    await eva.page.getByText("您在“Room 2”").waitFor();
    await eva.shot("breakout-inside-phone-zh.png");
    await roster([gus], ["Gus"]);
    await dialog.getByRole("region", { name: "Room 1" }).getByText("Gus").waitFor();
    await olga.shot("breakouts-open-en.png");
    await dialog.getByLabel("Room of Gus").selectOption({ label: "Room 2" });
    await gus.page.getByText("You are in Room 2").waitFor();
    await roster([gus, eva], ["Gus", "王小明"]);
    await receives(gus, 1, 0);
    await receives(eva, 1, 1);
    await gus.shot("breakout-inside-en.png");
    await gus.press("Return to main room");
    await waitFor(async () => (await gus.page.getByRole("button", { name: "Return to main room" }).count()) === 0, "Gus is back");
    await receives(olga, 1, 1);
    await dialog.getByLabel("Room of Gus").selectOption({ label: "Room 1" });
    await gus.page.getByText("You are in Room 1").waitFor();
    await roster([gus], ["Gus"]);
    await dialog.getByRole("button", { name: "Close all rooms" }).click();
    await waitFor(async () => (await gus.page.getByRole("button", { name: "Return to main room" }).count()) + (await eva.page.getByRole("button", { name: "返回主会议室" }).count()) === 0, "all are back");
    await dialog.getByRole("button", { name: "Close", exact: true }).click();
    await roster([olga, gus, eva], ["Gus", "Olga", "王小明"]);
    for (const p of [olga, gus, eva]) await receives(p, 2, 1);
    noErrors(olga, gus, eva);
  });

  test("a second device of the same person is the same person", async () => {
    const state = await olga.context.storageState();
    const token = await olga.page.evaluate(() => Object.entries({ ...sessionStorage }));
    const second = await Person.open(browser, server.base, "Olga", { storageState: { ...state, origins: [] }, colorScheme: "dark" });
    await second.page.evaluate((entries) => entries.forEach(([k, v]) => sessionStorage.setItem(k, v)), token);
    await second.page.goto(server.room("board"));
    await second.enter();
    await waitFor(async () => (await person(gus, "Olga")).devices.length === 2, "two devices of one person");
    assert.deepEqual((await gus.people()).map((p) => p.name).sort(), ["Gus", "Olga", "王小明"]);
    await gus.press("People");
    await gus.page.getByRole("complementary").getByRole("img", { name: "2 devices" }).waitFor();
    assert.equal(await gus.page.locator('.tile[data-kind="person"]').count(), 3, "one tile a person");
    await gus.shot("two-devices-en.png");
    await gus.press("Close");
    await second.press("People");
    await second.shot("people-owner-en-dark.png");
    await second.press("Leave");
    await second.close();
    await waitFor(async () => (await person(gus, "Olga")).devices.length === 1, "one device again");
  });

  test("roles and the lock show at once", async () => {
    const tools = await manage(olga, "Gus");
    await tools.getByLabel("Role").selectOption("moderator");
    await gus.page.getByText("You are now Moderator").waitFor();
    await gus.press("People");
    await gus.page.getByRole("button", { name: "Mute all" }).waitFor();
    await tools.getByLabel("Role").selectOption("attendee");
    await gus.page.getByText("You are now Attendee").waitFor();
    await waitFor(async () => (await gus.page.getByRole("button", { name: "Mute all" }).count()) === 0, "the controls go with the role");
    await gus.press("Close");
    await olga.press("Lock room");
    await gus.page.getByText("The room is locked: nobody else gets in").waitFor();
    const late = await Person.open(browser, link, "Late");
    await late.knock();
    await late.page.getByRole("heading", { name: "The room is locked" }).waitFor();
    await late.close();
    await olga.press("Unlock room");
    await olga.page.getByLabel("Newcomers wait for a moderator").uncheck();
    await olga.press("Settings");
    await olga.page.getByLabel("Language").selectOption("zh");
    await olga.page.getByRole("button", { name: "参会者" }).click();
    const more = olga.page.getByRole("button", { name: "管理 Gus" });
    if ((await more.getAttribute("aria-expanded")) !== "true") await more.click();
    await olga.shot("people-owner-zh.png");
    await olga.page.getByRole("button", { name: "分组讨论" }).click();
    await olga.page.getByRole("dialog", { name: "分组讨论" }).waitFor();
    await olga.shot("breakouts-plan-zh.png");
    await olga.page.getByRole("dialog").getByRole("button", { name: "关闭", exact: true }).click();
    await olga.page.getByRole("button", { name: "设置" }).click();
    await olga.page.getByLabel("语言").selectOption("en");
    await olga.press("People");
  });

  test("expelled and banned: out, and refused on return", async () => {
    const tools = await manage(olga, "Gus");
    await tools.getByRole("button", { name: "Remove and ban" }).click();
    const question = olga.page.getByRole("dialog").filter({ hasText: "refuse them from now on" });
    await olga.shot("expel-question-en.png");
    await question.getByRole("button", { name: "Remove and ban" }).click();
    await gus.page.getByRole("heading", { name: "A moderator removed you from the room" }).waitFor();
    await gus.shot("expelled-en.png");
    await roster([olga, eva], ["Olga", "王小明"]);
    await gus.press("Back to the room");
    await gus.knock();
    await gus.page.getByRole("heading", { name: "You cannot come back to this room" }).waitFor();
    await roster([olga, eva], ["Olga", "王小明"]);
    await gus.close();
  });

  test("an announced end is counted down, and comes", async () => {
    await olga.press("End for all");
    await olga.page.getByRole("dialog").getByRole("button", { name: "End now" }).waitFor();
    await olga.press("Cancel");
    assert.equal((await askServer(olga, "conference.end", { afterS: 8 })).code, 200);
    await eva.page.getByRole("timer").getByText(/会议将在 0:0\d 后结束/).waitFor();
    await eva.shot("ending-phone-zh.png");
    await eva.page.getByRole("heading", { name: "会议已结束" }).waitFor();
    await olga.page.getByRole("heading", { name: "The meeting has ended" }).waitFor();
  });
});
