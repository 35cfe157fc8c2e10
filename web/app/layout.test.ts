import { describe, expect, test } from "vitest";
import { grid, hue, initials, pixels, roomName, slug } from "./layout";

describe("layout", () => {
  test("tiles fit the box as long as they are not at the smallest size", () => {
    for (const [w, h] of [[1280, 640], [390, 700], [844, 300], [1920, 1000]] as const) {
      for (let n = 1; n <= 12; n++) {
        const g = grid(n, w, h, 8);
        expect(g.width * g.columns + 8 * (g.columns - 1)).toBeLessThanOrEqual(w + 1);
        if (g.width > 140) expect(Math.ceil(n / g.columns) * (g.height + 8) - 8).toBeLessThanOrEqual(h + 1);
        expect(g.width / g.height).toBeGreaterThan(0.99);
        expect(g.width / g.height).toBeLessThan(1.79);
      }
    }
  });
  test("a wide box shows two side by side, a phone one above the other", () => {
    expect(grid(2, 1280, 640, 8).columns).toBe(2);
    expect(grid(2, 390, 700, 8).columns).toBe(1);
    expect(grid(4, 1280, 640, 8).columns).toBe(2);
  });
  test("many tiles keep a smallest size and scroll", () => {
    expect(grid(60, 390, 600, 8).width).toBeGreaterThanOrEqual(120);
  });
  test("initials", () => {
    expect(["Ana", "Ana Lima", "bob-smith", "", "王小明", "李雷"].map(initials)).toEqual(["A", "AL", "BS", "?", "小明", "李雷"]);
  });
  test("colours are stable", () => {
    expect(hue("a", 8)).toBe(hue("a", 8));
    expect(hue("a", 8)).toBeLessThan(8);
  });
  test("room names are addresses", () => {
    expect(roomName(() => 0)).toBe("quiet-otter-100");
    expect(slug("  Stand up / daily? ")).toBe("Stand-up-daily");
    expect(slug("会议 一")).toMatch(/^room-[0-9a-z]{6}$/);
    expect(slug("会议 一")).toBe(slug(" 会议 一"));
    expect(slug("会议 一")).not.toBe(slug("会议 二"));
    expect(slug("Équipe A")).toMatch(/^quipe-A-[0-9a-z]{6}$/);
    expect(slug("..")).toBe("");
  });
  test("a box is asked for in pixels of the screen, within reason", () => {
    expect(pixels(320, 180, 1)).toEqual({ width: 320, height: 180 });
    expect(pixels(320.4, 180, 1.5)).toEqual({ width: 481, height: 270 });
    expect(pixels(320, 180, 3)).toEqual({ width: 640, height: 360 });
    expect(pixels(320, 180, 0.5)).toEqual({ width: 320, height: 180 });
    expect(pixels(320, 180, NaN)).toEqual({ width: 320, height: 180 });
    expect(pixels(0, 180, 1)).toBe(null);
  });
});
