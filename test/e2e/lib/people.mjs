// A participant driven like a person: by the names of the controls.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { waitFor } from "./server.mjs";

export const results = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "results");
mkdirSync(results, { recursive: true });

/** Records sockets, so that a test can cut one as a network would. */
const hook = () => {
  const Native = window.WebSocket;
  const sockets = [];
  window.__sockets = sockets;
  window.WebSocket = class extends Native {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  };
};

export class Person {
  constructor(page, name, context) {
    this.page = page;
    this.name = name;
    this.context = context;
    this.errors = [];
    page.on("pageerror", (e) => this.errors.push(String(e)));
    page.on("console", (m) => {
      if (m.type() === "error") this.errors.push(m.text());
    });
  }

  /** A new browser profile on the room's page; options go to newContext, scripts run in the page before its own. */
  static async open(browser, url, name, options = {}, ...scripts) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ["camera", "microphone"], ...options });
    for (const s of [hook, ...scripts]) await context.addInitScript(s);
    const page = await context.newPage();
    const person = new Person(page, name, context);
    await page.goto(url);
    return person;
  }

  /** Opens the page, gives the name and presses Join. */
  static async join(browser, url, name, options) {
    const person = await Person.open(browser, url, name, options);
    await person.enter();
    return person;
  }

  async enter() {
    await this.knock();
    await this.inRoom();
  }

  /** Gives the name and presses Join; where that leads is another question. */
  async knock() {
    await this.page.getByLabel(/Your name|您的名字/).fill(this.name);
    await this.page.getByRole("button", { name: /^(Join|加入)$/ }).click();
  }

  /** In the call: leaving the lobby is no such thing. */
  async inRoom() {
    await this.page.locator(".bar").waitFor({ timeout: 40_000 });
    await this.page.getByRole("button", { name: /^(Leave|离开)$/ }).waitFor({ timeout: 40_000 });
  }

  press(name) {
    return this.page.getByRole("button", { name, exact: true }).click();
  }

  stats() {
    return this.page.evaluate(() => window.__parley.stats());
  }

  state() {
    return this.page.evaluate(() => window.__parley.state());
  }

  participants() {
    return this.page.evaluate(() => window.__parley.participants());
  }

  /** Persons with their devices, as this one sees them. */
  people() {
    return this.page.evaluate(() => window.__parley.people());
  }

  /** Names in the roster, sorted. */
  async names() {
    return (await this.participants()).map((p) => p.name).sort();
  }

  shot(file) {
    return this.page.screenshot({ path: join(results, file) });
  }

  close() {
    return this.context.close();
  }
}

/** What flows between two readings of a person's stats. */
export async function flow(person, ms = 2_000) {
  const before = await person.stats();
  await new Promise((r) => setTimeout(r, ms));
  const after = await person.stats();
  const old = new Map((before?.inbound ?? []).map((s) => [s.track, s]));
  return (after?.inbound ?? []).map((s) => ({
    track: s.track,
    kind: s.kind,
    codec: s.codec,
    frames: (s.framesDecoded ?? 0) - (old.get(s.track)?.framesDecoded ?? 0),
    packets: (s.packetsReceived ?? 0) - (old.get(s.track)?.packetsReceived ?? 0),
    energy: s.totalAudioEnergy ?? 0,
    width: s.frameWidth,
  }));
}

/** Waits until a person decodes n videos with rising frames and hears n others. */
export function receives(person, videos, audios, timeoutMs = 45_000) {
  return waitFor(async () => {
    const f = await flow(person);
    const v = f.filter((s) => s.kind === "video" && s.frames > 0).length;
    const a = f.filter((s) => s.kind === "audio" && s.packets > 0 && s.energy > 0).length;
    if (v >= videos && a >= audios) return f;
    throw new Error(`${person.name}: ${v}/${videos} videos, ${a}/${audios} sounds: ${JSON.stringify(f)}`);
  }, `${person.name} receives ${videos} videos and ${audios} sounds`, timeoutMs, 100);
}

/** Each person sees exactly these names. */
export async function roster(people, names, timeoutMs = 20_000) {
  const want = [...names].sort();
  for (const p of people) {
    await waitFor(async () => {
      const have = await p.names();
      if (JSON.stringify(have) === JSON.stringify(want)) return true;
      throw new Error(`${p.name} sees ${have}`);
    }, `${p.name} sees ${want}`, timeoutMs);
  }
}

export function noErrors(...people) {
  for (const p of people) assert.deepEqual(p.errors, [], `${p.name}: errors on the page`);
}
