// The camera and microphone before and during a call: which device, on or off,
// and what went wrong. Owns the tracks until a room takes them over.

import { batch, signal } from "@preact/signals";
import { CaptureError, listDevices, onDeviceChange, openCamera, openMicrophone, type DeviceList } from "../sdk";
import type { Key } from "./i18n";
import { prefs } from "./prefs";

export type Input = "camera" | "microphone";

export const tracks = { camera: signal<MediaStreamTrack | null>(null), microphone: signal<MediaStreamTrack | null>(null) };
/** What the person wants; a device may still be missing. */
export const wanted = { camera: signal(prefs.get("camOn") !== "0"), microphone: signal(prefs.get("micOn") !== "0") };
export const problems = { camera: signal<Key | null>(null), microphone: signal<Key | null>(null) };
export const devices = signal<DeviceList>({ cameras: [], microphones: [], speakers: [] });

const openers = { camera: openCamera, microphone: openMicrophone };

/** The text for a failed capture. */
export function problemOf(err: unknown): Key {
  if (!(err instanceof CaptureError)) return "deviceFailed";
  if (err.kind === "insecure" || err.kind === "unsupported") return "notSecure";
  if (err.device === "screen") return err.kind === "denied" ? "screenDenied" : "deviceFailed";
  if (err.kind === "denied") return err.device === "camera" ? "cameraDenied" : "microphoneDenied";
  if (err.kind === "busy") return err.device === "camera" ? "cameraBusy" : "microphoneBusy";
  if (err.kind === "missing") return err.device === "camera" ? "cameraMissing" : "microphoneMissing";
  return "deviceFailed";
}

/** Opens a device by the person's choice; the problem, if any, is shown and null returned. */
export async function open(input: Input, deviceId = prefs.get(input)): Promise<MediaStreamTrack | null> {
  try {
    const track = await openers[input](deviceId);
    batch(() => {
      tracks[input].value = track;
      problems[input].value = null;
    });
    void refreshDevices();
    return track;
  } catch (err) {
    problems[input].value = problemOf(err);
    return null;
  }
}

/** Lets go of a device, so that its light goes out. */
export function release(input: Input): void {
  tracks[input].value?.stop();
  tracks[input].value = null;
}

export function want(input: Input, on: boolean): void {
  wanted[input].value = on;
  prefs.set(input === "camera" ? "camOn" : "micOn", on ? "1" : "0");
}

export async function refreshDevices(): Promise<void> {
  devices.value = await listDevices();
}

onDeviceChange(() => void refreshDevices());
