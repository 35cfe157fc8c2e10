// A client written by somebody else: it speaks the protocol by itself, in a page
// of the browser. It takes part in what it is let into, and writes down the frames
// that the server sends it, as they come out of the network.

/** Runs in the page. */
const install = () => {
  const b64 = (b) => btoa(String.fromCharCode(...b)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const random = (n) => b64(crypto.getRandomValues(new Uint8Array(n)));

  class Outsider {
    pending = new Map();
    notes = [];
    frames = { video: [], audio: [] };
    n = 0;

    connect(name) {
      this.socket = new WebSocket(`ws://${location.host}/ws`, "confctl.1");
      return new Promise((resolve, reject) => {
        this.socket.onopen = () => this.socket.send(JSON.stringify({ kind: "hello", versions: [1], client: { name: "outsider" }, auth: { name } }));
        this.socket.onclose = () => reject(new Error("closed"));
        this.socket.onmessage = (e) => {
          const f = JSON.parse(e.data);
          if (f.kind === "welcome") resolve(f);
          else if (f.kind === "ping") this.socket.send(JSON.stringify({ kind: "pong", t: f.t }));
          else if (f.kind === "notify") this.heard(f);
          else if (f.kind === "response" && f.final) {
            this.pending.get(f.id)?.(f);
            this.pending.delete(f.id);
          }
        };
      });
    }

    request(method, params, conf) {
      const id = `${Date.now()}-${++this.n}`;
      return new Promise((resolve) => {
        this.pending.set(id, (f) => resolve(f.error ? { error: f.error } : { result: f.result ?? {} }));
        this.socket.send(JSON.stringify({ kind: "request", id, method, params, conf }));
      });
    }

    heard(f) {
      if (this.notes.length < 500) this.notes.push(f);
      if (f.event === "media.needed") void this.offer(f.body);
    }

    /** Joins as one that says it can encrypt; its keys are noise. */
    async join(conf, over = {}) {
      const params = { device: `dev_${random(8)}`, name: "Outsider", kind: "browser", caps: { e2ee: true }, e2ee: { identity: random(65), key: random(65), sig: random(64) }, ...over };
      const r = await this.request("conference.join", params, conf);
      if (r.error) return r;
      this.self = r.result;
      this.conf = r.result.conf;
      this.rev = 0;
      this.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", encodedInsertableStreams: true });
      await this.offer(r.result.needed);
      return r;
    }

    async leave() {
      if (this.conf) await this.request("conference.leave", {}, this.conf);
    }

    async offer(needed) {
      if (!needed || !this.pc) return;
      for (const kind of ["audio", "video"]) {
        const have = this.pc.getTransceivers().filter((t) => t.receiver.track.kind === kind).length;
        for (let i = have; i < (needed[kind] ?? 0); i++) this.listen(this.pc.addTransceiver(kind, { direction: "recvonly" }).receiver, kind);
      }
      if (this.pc.getTransceivers().length === 0 || this.busy) return;
      this.busy = true;
      await this.pc.setLocalDescription();
      const r = await this.request("media.offer", { ms: this.self.ms, rev: ++this.rev, sdp: this.pc.localDescription.sdp }, this.conf);
      this.busy = false;
      if (r.error) throw new Error(JSON.stringify(r.error));
      this.rev = r.result.rev;
      await this.pc.setRemoteDescription({ type: "answer", sdp: r.result.sdp });
    }

    listen(receiver, kind) {
      const { readable, writable } = receiver.createEncodedStreams();
      const tap = new TransformStream({
        transform: (f, c) => {
          if (this.frames[kind].length < 400) this.frames[kind].push({ bytes: new Uint8Array(f.data.slice(0)), type: f.type ?? "", mime: f.getMetadata().mimeType });
          c.enqueue(f);
        },
      });
      void readable.pipeThrough(tap).pipeTo(writable);
      const el = document.createElement(kind);
      el.muted = true;
      el.autoplay = true;
      el.srcObject = new MediaStream([receiver.track]);
      document.body.append(el);
      if (kind === "video") this.video = el;
    }

    async stats() {
      const out = { packets: 0, framesReceived: 0, framesDecoded: 0, keyFramesDecoded: 0 };
      for (const s of (await this.pc.getStats()).values()) {
        if (s.type !== "inbound-rtp" || s.kind !== "video") continue;
        out.packets += s.packetsReceived ?? 0;
        for (const k of ["framesReceived", "framesDecoded", "keyFramesDecoded"]) out[k] += s[k] ?? 0;
      }
      return { ...out, seen: this.frames.video.length, heard: this.frames.audio.length, codecs: [...new Set([...this.frames.video, ...this.frames.audio].map((f) => f.mime))] };
    }

    /** Mean colours of the left and the right of every picture that its decoders make. */
    pictures() {
      const c = document.createElement("canvas");
      [c.width, c.height] = [2, 1];
      const g = c.getContext("2d", { willReadFrequently: true });
      g.imageSmoothingQuality = "high";
      return [...document.querySelectorAll("video")].filter((v) => v.readyState >= 2).map((v) => {
        g.drawImage(v, 0, 0, 2, 1);
        return [...g.getImageData(0, 0, 2, 1).data].filter((_, i) => i % 4 < 3);
      });
    }

    take(kind) {
      return this.frames[kind].map((f) => ({ type: f.type, b64: btoa(String.fromCharCode(...f.bytes)) }));
    }
  }
  window.__outsider = new Outsider();
};

export class Outside {
  /** Opens a page of the server's that runs nothing of its own, and connects. */
  static async open(browser, server, name) {
    const context = await browser.newContext({ bypassCSP: true });
    const page = await context.newPage();
    await page.goto(`${server.base}/healthz`);
    await page.evaluate(install);
    await page.evaluate((n) => window.__outsider.connect(n), name);
    const o = new Outside();
    Object.assign(o, { page, context });
    return o;
  }

  request(method, params, conf) {
    return this.page.evaluate(([m, p, c]) => window.__outsider.request(m, p, c), [method, params, conf]);
  }

  join(conf, over) {
    return this.page.evaluate(([c, o]) => window.__outsider.join(c, o), [conf, over]);
  }

  stats() {
    return this.page.evaluate(() => window.__outsider.stats());
  }

  pictures() {
    return this.page.evaluate(() => window.__outsider.pictures());
  }

  /** Frames as they came, each { type, bytes }. */
  async frames(kind) {
    const list = await this.page.evaluate((k) => window.__outsider.take(k), kind);
    return list.map((f) => ({ type: f.type, bytes: Buffer.from(f.b64, "base64") }));
  }

  /** Leaves, so that nobody waits for it to come again. */
  async close() {
    await this.page.evaluate(() => window.__outsider.leave());
    await this.context.close();
  }
}

/** VP8 frames as an IVF file, for ffmpeg. */
export function ivf(frames, width, height) {
  const head = Buffer.alloc(32);
  head.write("DKIF", 0);
  head.writeUInt16LE(32, 6);
  head.write("VP80", 8);
  head.writeUInt16LE(width, 12);
  head.writeUInt16LE(height, 14);
  head.writeUInt32LE(30, 16);
  head.writeUInt32LE(1, 20);
  head.writeUInt32LE(frames.length, 24);
  const parts = [head];
  frames.forEach((f, i) => {
    const h = Buffer.alloc(12);
    h.writeUInt32LE(f.bytes.length, 0);
    h.writeUInt32LE(i, 4);
    parts.push(h, f.bytes);
  });
  return Buffer.concat(parts);
}
