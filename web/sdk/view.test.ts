import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { RemoteTrack } from "./room-types";
import { View, type ViewOptions } from "./view";

const track = (id: string, over: Partial<RemoteTrack> = {}, kind = "video") => ({ id, media: { kind }, direct: false, ...over }) as unknown as RemoteTrack;

function setup(opts: Partial<ViewOptions> = {}) {
  const said: any[] = [];
  let refuse = 0;
  const request = async (method: string, params: any) => {
    if (refuse > 0) {
      refuse--;
      throw new Error("no");
    }
    said.push([method, params.tracks?.map((t: any) => JSON.parse(JSON.stringify(t))) ?? params]);
    return {} as never;
  };
  const view = new View({ request, ...opts });
  view.enter();
  return { view, said, take: () => said.splice(0).map(([, t]) => t), refuse: (n: number) => (refuse = n) };
}

describe("view", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  test("tells a size soon, in steps, once for all tiles of a layout", async () => {
    const { view, said, take } = setup();
    view.follow([track("a"), track("b"), track("mic", {}, "audio")]);
    view.show("a", { width: 301, height: 170 });
    view.show("b", { width: 300.4, height: 169.9 });
    await pass(900);
    expect(said).toEqual([]); // less than all: it may be a layout in the making
    await pass(200);
    expect(take()).toEqual([[{ track: "a", width: 304, height: 176 }, { track: "b", width: 304, height: 176 }]]);
    view.show("a", { width: 1280, height: 720 });
    await pass(100);
    expect(take()).toEqual([[{ track: "a", width: 1280, height: 720 }]]);
  });

  test("a little larger or smaller is the same", async () => {
    const { view, said, take } = setup();
    view.follow([track("a")]);
    view.show("a", { width: 640, height: 360 });
    await pass(2_000);
    take();
    for (const w of [620, 660, 600, 690]) {
      view.show("a", { width: w, height: (w * 9) / 16 });
      await pass(2_000);
    }
    expect(said).toEqual([]);
  });

  test("hides late and shows soon; a moment out of sight is nothing", async () => {
    const { view, said, take } = setup();
    view.follow([track("a")]);
    view.show("a", { width: 320, height: 180 });
    await pass(2_000);
    take();
    view.show("a", null);
    await pass(800);
    view.show("a", { width: 320, height: 180 });
    await pass(5_000);
    expect(said).toEqual([]);
    view.show("a", null);
    await pass(1_000);
    expect(take()).toEqual([[{ track: "a", paused: true }]]);
    view.show("a", { width: 320, height: 180 });
    await pass(100);
    expect(take()).toEqual([[{ track: "a", width: 320, height: 176 + 16 }]]);
  });

  test("a pin is told at once, and taken back", async () => {
    const { view, take } = setup();
    view.follow([track("a")]);
    view.show("a", { width: 320, height: 180 });
    await pass(2_000);
    take();
    view.show("a", { width: 320, height: 180, priority: 2 });
    await pass(100);
    expect(take()).toEqual([[{ track: "a", width: 320, height: 192, priority: 2 }]]);
    view.show("a", { width: 320, height: 180 });
    await pass(1_500);
    expect(take()).toEqual([[{ track: "a", width: 320, height: 192 }]]);
  });

  test("without a word about it a picture comes in full, or not at all where only shown ones shall", async () => {
    const all = setup();
    all.view.follow([track("a")]);
    await pass(10_000);
    expect(all.said).toEqual([]);
    const some = setup({ shownOnly: true });
    some.view.follow([track("a"), track("b")]);
    some.view.show("b", { width: 160, height: 90 });
    await pass(1_000);
    expect(some.take()).toEqual([[{ track: "b", width: 160, height: 96 }]]);
    await pass(1_000);
    expect(some.take()).toEqual([[{ track: "a", paused: true }]]);
  });

  test("a size that was told before the picture came is not lost", async () => {
    const { view, take } = setup({ shownOnly: true });
    view.show("a", { width: 160, height: 90 });
    await pass(5_000);
    view.follow([track("a")]);
    await pass(2_000);
    expect(take()).toEqual([[{ track: "a", width: 160, height: 96 }]]);
  });

  test("pictures from person to person and shared ones are nothing to the server", async () => {
    const { view, said } = setup({ shownOnly: true });
    view.follow([track("a", { direct: true }), track("slot:1"), track("mix:video")]);
    view.show("a", { width: 160, height: 90 });
    await pass(5_000);
    expect(said).toEqual([]);
  });

  test("what was hidden is wanted again when it comes another way", async () => {
    const { view, take } = setup();
    view.follow([track("a"), track("b")]);
    view.show("a", null);
    view.show("b", { width: 160, height: 90 });
    await pass(2_000);
    take();
    view.follow([track("slot:1")]);
    await pass(100);
    expect(take()).toEqual([[{ track: "a" }]]);
  });

  test("what is to take the place of a composed picture comes before it is shown", async () => {
    const { view, said, take } = setup({ shownOnly: true });
    view.follow([track("mix:video"), track("a"), track("b")]);
    await pass(5_000);
    expect(said).toEqual([]);
    view.follow([track("a"), track("b")]);
    view.show("a", { width: 160, height: 90 });
    await pass(2_000);
    expect(take()).toEqual([[{ track: "a", width: 160, height: 96 }, { track: "b", paused: true }]]);
  });

  test("a refusal is tried again, with what holds then", async () => {
    const { view, said, take, refuse } = setup();
    view.follow([track("a")]);
    refuse(1);
    view.show("a", { width: 160, height: 90 });
    await pass(1_600);
    expect(said).toEqual([]);
    view.show("a", { width: 320, height: 180 });
    await pass(3_200);
    expect(take()).toEqual([[{ track: "a", width: 320, height: 192 }]]);
    await pass(10_000);
    expect(said).toEqual([]);
  });

  test("joining again tells all anew", async () => {
    const { view, said, take } = setup({ lastN: 4 });
    expect(said).toEqual([["track.subscribe", { lastN: 4 }]]);
    view.follow([track("a")]);
    view.show("a", { width: 160, height: 90 });
    await pass(2_000);
    take();
    view.enter();
    view.follow([track("a")]);
    await pass(2_000);
    expect(take()).toEqual([{ lastN: 4 }, [{ track: "a", width: 160, height: 96 }]]);
    view.close();
    view.show("a", null);
    await pass(5_000);
    expect(said).toEqual([]);
  });

  test("what the server withholds is known until it says otherwise", () => {
    const changed = vi.fn();
    const { view } = setup({ changed });
    view.withheldAre([{ track: "a", why: "last-n" }, { track: "b", why: "bandwidth" }]);
    expect([...view.withheld]).toEqual([["a", "last-n"], ["b", "bandwidth"]]);
    view.withheldAre([]);
    expect(view.withheld.size).toBe(0);
    expect(changed).toHaveBeenCalledTimes(2);
    view.withheldAre([{ track: "a", why: "last-n" }]);
    view.enter();
    expect(view.withheld.size).toBe(0);
  });
});
