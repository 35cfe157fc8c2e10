// Tells the server what cameras, microphones and loudspeakers this device has,
// and which are in use, again whenever something is plugged in or out.

import type { DeviceInput, DeviceParams, InputKind } from "./commands";
import { listDevices, onDeviceChange, type DeviceList } from "./devices";

const MAX = 32; // of one device; more than that is a studio, and the document must stay small
const SETTLE_MS = 300; // plugging in a headset brings several changes at once

/** What to report for a list of devices and the tracks in use. */
export function inputReport(list: DeviceList, active: Partial<Record<InputKind, string>>): Pick<DeviceParams, "inputs" | "active"> {
  const inputs: DeviceInput[] = [];
  for (const d of [...list.microphones, ...list.cameras, ...list.speakers]) {
    if (inputs.length < MAX) inputs.push({ id: d.deviceId.slice(0, 128), kind: d.kind as InputKind, label: d.label.slice(0, 128) || undefined });
  }
  const known = new Set(inputs.map((i) => i.id));
  const inUse = Object.entries(active).filter(([, id]) => id !== undefined && known.has(id));
  return { inputs, active: Object.fromEntries(inUse) };
}

/** Sends a report at the start, and after each change that matters. */
export class InputReporter {
  private last = "";
  private timer?: ReturnType<typeof setTimeout>;
  private readonly off: () => void;

  constructor(
    private readonly active: () => Partial<Record<InputKind, string>>,
    private readonly send: (p: DeviceParams) => Promise<unknown>,
    private readonly list: () => Promise<DeviceList> = listDevices,
    onChange: (fn: () => void) => () => void = onDeviceChange,
  ) {
    this.off = onChange(() => this.changed());
  }

  /** Something may have changed; sends if it has. */
  changed(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.report(), SETTLE_MS);
  }

  /** The server knows nothing of us (any more). */
  restart(): void {
    this.last = "";
    this.changed();
  }

  close(): void {
    clearTimeout(this.timer);
    this.off();
  }

  private async report(): Promise<void> {
    const report = inputReport(await this.list(), this.active());
    const text = JSON.stringify(report);
    if (text === this.last) return;
    this.last = text;
    // A server without the command, or one that is busy, loses nothing by it.
    await this.send(report).catch(() => (this.last = ""));
  }
}
