// The impairment relay as a process, and pages whose media goes through it.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { keepConnections } from "./media.mjs";
import { hostAddress } from "./server.mjs";

const module = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

let binary;

function build() {
  if (binary) return binary;
  const dir = mkdtempSync(join(tmpdir(), "parley-e2e-relay-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  execFileSync("go", ["build", "-o", join(dir, "relay"), "./cmd/relay"], { cwd: module, stdio: "inherit" });
  return (binary = join(dir, "relay"));
}

export class Relay {
  /** Starts a relay; target and settings may come later. It ends with this process at the latest. */
  static async start({ target, both = "", up = "", down = "", seed = 1 } = {}) {
    const args = ["-control", "-listen", `${hostAddress() ?? "127.0.0.1"}:0`, "-both", both, "-up", up, "-down", down, "-seed", String(seed)];
    if (target) args.push("-target", target);
    const relay = new Relay();
    relay.child = spawn(build(), args, { stdio: ["pipe", "pipe", "inherit"] });
    relay.waiting = [];
    relay.child.on("exit", (code) => relay.waiting.splice(0).forEach((w) => w.reject(new Error(`the relay ended: ${code}`))));
    createInterface({ input: relay.child.stdout }).on("line", (line) => {
      const w = relay.waiting.shift();
      if (line.startsWith("error: ")) w?.reject(new Error(line));
      else w?.resolve(line);
    });
    relay.address = await new Promise((resolve, reject) => relay.waiting.push({ resolve, reject }));
    return relay;
  }

  /** One order: "down rate=300k", "drop on", "rebind", "schedule down 0s:3M,20s:300k". */
  order(line) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.child.stdin.write(line + "\n");
    });
  }

  async stats() {
    return JSON.parse(await this.order("stats"));
  }

  async stop() {
    if (this.child.exitCode !== null) return;
    const ended = new Promise((r) => this.child.once("exit", r));
    this.child.stdin.end();
    await ended;
  }
}

/**
 * For addInitScript: the server's candidates are replaced by the relay's address
 * in every description and its trickled ones are dropped, so that the page knows
 * no other way. Keeps the connections as well.
 */
export const through = (relay) => `(${keepConnections})(); (${reroute})(${JSON.stringify(relay.address)})`;

const reroute = (address) => {
  const i = address.lastIndexOf(":");
  const line = `a=candidate:1 1 udp 2130706431 ${address.slice(0, i)} ${address.slice(i + 1)} typ host`;
  const edit = (sdp) =>
    sdp
      .split(/^(?=m=)/m)
      .map((s) => {
        let done = false;
        return s.replace(/^a=candidate:.*(\r\n|$)/gm, () => (done ? "" : ((done = true), line + "\r\n")));
      })
      .join("");
  const Keeping = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Keeping {
    setRemoteDescription(d) {
      return super.setRemoteDescription(d?.sdp ? { type: d.type, sdp: edit(d.sdp) } : d);
    }
    addIceCandidate() {
      return Promise.resolve(); // the relay is the only way
    }
  };
};
