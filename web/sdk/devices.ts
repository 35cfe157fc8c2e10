// Cameras, microphones and screens, with errors a person can act on.

export type DeviceError = "denied" | "busy" | "missing" | "insecure" | "unsupported" | "unknown";

/** Why a capture failed. */
export class CaptureError extends Error {
  constructor(readonly kind: DeviceError, readonly device: "camera" | "microphone" | "screen", cause?: unknown) {
    super(`${device}: ${kind}`, { cause });
    this.name = "CaptureError";
  }
}

export interface DeviceList {
  cameras: MediaDeviceInfo[];
  microphones: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
}

function classify(err: unknown): DeviceError {
  switch ((err as { name?: string })?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    default:
      return "unknown";
  }
}

function mediaDevices(device: "camera" | "microphone" | "screen"): MediaDevices {
  if (globalThis.navigator?.mediaDevices) return navigator.mediaDevices;
  throw new CaptureError(globalThis.isSecureContext === false ? "insecure" : "unsupported", device);
}

async function capture(device: "camera" | "microphone", constraints: MediaStreamConstraints): Promise<MediaStreamTrack> {
  const md = mediaDevices(device);
  try {
    const stream = await md.getUserMedia(constraints);
    return stream.getTracks()[0]!;
  } catch (err) {
    throw new CaptureError(classify(err), device, err);
  }
}

/** Opens a camera; a remembered device that is gone falls back to any. */
export function openCamera(deviceId?: string): Promise<MediaStreamTrack> {
  const shape = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
  return fallback(deviceId, (id) => capture("camera", { video: { ...shape, ...(id ? { deviceId: { exact: id } } : { facingMode: "user" }) } }));
}

/** Opens a microphone with echo cancellation; falls back as openCamera does. */
export function openMicrophone(deviceId?: string): Promise<MediaStreamTrack> {
  const shape = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  return fallback(deviceId, (id) => capture("microphone", { audio: { ...shape, ...(id ? { deviceId: { exact: id } } : {}) } }));
}

async function fallback(deviceId: string | undefined, open: (id?: string) => Promise<MediaStreamTrack>): Promise<MediaStreamTrack> {
  if (!deviceId) return open();
  try {
    return await open(deviceId);
  } catch (err) {
    if (err instanceof CaptureError && err.kind === "missing") return open();
    throw err;
  }
}

/** Opens a screen or window, with its sound where the browser can. */
export async function openScreen(): Promise<{ video: MediaStreamTrack; audio: MediaStreamTrack | null }> {
  const md = mediaDevices("screen");
  if (!md.getDisplayMedia) throw new CaptureError("unsupported", "screen");
  try {
    const stream = await md.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: true });
    const video = stream.getVideoTracks()[0]!;
    video.contentHint = "detail";
    return { video, audio: stream.getAudioTracks()[0] ?? null };
  } catch (err) {
    throw new CaptureError(classify(err), "screen", err);
  }
}

export function canShareScreen(): boolean {
  return typeof globalThis.navigator?.mediaDevices?.getDisplayMedia === "function";
}

/** Lists devices; labels are empty until a permission was given. */
export async function listDevices(): Promise<DeviceList> {
  const all = (await globalThis.navigator?.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  const of = (kind: MediaDeviceKind) => all.filter((d) => d.kind === kind && d.deviceId !== "");
  return { cameras: of("videoinput"), microphones: of("audioinput"), speakers: of("audiooutput") };
}

/** Calls fn when a device is plugged in or out; the returned function ends that. */
export function onDeviceChange(fn: () => void): () => void {
  const md = globalThis.navigator?.mediaDevices;
  if (!md?.addEventListener) return () => {};
  md.addEventListener("devicechange", fn);
  return () => md.removeEventListener("devicechange", fn);
}

/** Measures the level of an audio track, 0…1, some twenty times a second. */
export function meter(track: MediaStreamTrack, fn: (level: number) => void): () => void {
  const Context = globalThis.AudioContext;
  if (!Context) return () => {};
  const ctx = new Context();
  const analyser = ctx.createAnalyser();
  analyser.fftSize = 512;
  ctx.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    if (ctx.state === "suspended") void ctx.resume().catch(() => undefined);
    analyser.getFloatTimeDomainData(samples);
    let sum = 0;
    for (const v of samples) sum += v * v;
    const db = 10 * Math.log10(sum / samples.length + 1e-9);
    fn(Math.min(1, Math.max(0, (db + 60) / 54))); // -60 dBFS is silence, -6 is loud
  }, 50);
  return () => {
    clearInterval(timer);
    void ctx.close().catch(() => undefined);
  };
}
