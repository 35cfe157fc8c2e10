// The real binary: built once, started per test file, stopped by SIGTERM.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { createSocket } from "node:dgram";
import { networkInterfaces, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

let binary = process.env.E2E_BINARY;

/** Builds cmd/parley into a temporary directory. */
export function build() {
  if (binary) return binary;
  const dir = mkdtempSync(join(tmpdir(), "parley-e2e-bin-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  binary = join(dir, "parley");
  execFileSync("go", ["build", "-o", binary, "./cmd/parley"], { cwd: root, stdio: "inherit" });
  return binary;
}

export function freeTCP() {
  return new Promise((resolve, reject) => {
    const s = createServer();
    s.on("error", reject);
    s.listen(0, "127.0.0.1", () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
}

function freeUDP() {
  return new Promise((resolve, reject) => {
    const s = createSocket("udp4");
    s.on("error", reject);
    s.bind(0, () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
}

/** A host address that is not loopback: Firefox does not connect to 127.0.0.1. */
export function hostAddress() {
  for (const list of Object.values(networkInterfaces())) {
    for (const a of list ?? []) if (a.family === "IPv4" && !a.internal) return a.address;
  }
  return null;
}

/** Starts a server; args are added to the command line. */
export async function startServer({ dev = true, args = [], data, port } = {}) {
  const http = port ?? (await freeTCP());
  const udp = await freeUDP();
  const dir = data ?? mkdtempSync(join(tmpdir(), "parley-e2e-"));
  const address = hostAddress() ?? "127.0.0.1";
  const line = ["serve", "--http", `127.0.0.1:${http}`, "--udp", `${address}:${udp}`, "--data", dir, "--workers", "1", ...args];
  if (dev) line.splice(1, 0, "--dev");
  // Settings of the person who runs the tests must not leak in.
  const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith("PARLEY_")));
  const child = spawn(build(), line, { stdio: ["ignore", "pipe", "pipe"], env });
  let log = "";
  const keep = (chunk) => (log = (log + chunk).slice(-200_000));
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  let exit = null;
  const exited = new Promise((resolve) => child.on("exit", (code, signal) => resolve((exit = { code, signal }))));
  const base = `http://127.0.0.1:${http}`;
  const server = {
    base,
    data: dir,
    media: `${address}:${udp}`,
    child,
    log: () => log,
    room: (name) => `${base}/r/${name}`,
    /** SIGTERM, then the exit code; -1 when it had to be killed. */
    async stop({ keep = data !== undefined } = {}) {
      if (exit === null) child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
      const { code } = await exited;
      clearTimeout(timer);
      if (!keep) rmSync(dir, { recursive: true, force: true });
      return code ?? -1;
    },
  };
  await waitFor(async () => {
    if (exit !== null) throw new Fatal(`the server ended at its start (${JSON.stringify(exit)}):\n${log}`);
    const res = await fetch(`${base}/healthz`).catch(() => null);
    return res?.status === 200;
  }, "healthz", 20_000);
  return server;
}

/** For after(): closes what a suite opened; the server must end well. */
export async function finish(server, { browser, relay, dir } = {}) {
  await browser?.close();
  await relay?.stop();
  const code = await server?.stop();
  if (code !== 0) console.log(server?.log());
  if (dir) rmSync(dir, { recursive: true, force: true });
  assert.equal(code, 0, "exit code of the server after SIGTERM");
}

const answerMs = 15_000; // the least that a call is given for its answer

class Fatal extends Error {}

/** Fails if a promise takes longer: a browser may leave a call without an answer. */
async function within(promise, ms) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`no answer in ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Repeats until fn gives something truthy; a failing fn counts as "not yet". */
export async function waitFor(fn, what, timeoutMs = 30_000, everyMs = 250) {
  const end = Date.now() + timeoutMs;
  let last;
  for (;;) {
    try {
      last = await within(fn(), Math.max(answerMs, (timeoutMs * 2) / 3));
      if (last) return last;
    } catch (err) {
      if (err instanceof Fatal) throw err;
      last = err;
    }
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
    await new Promise((r) => setTimeout(r, everyMs));
  }
}
