import { describe, expect, test } from "vitest";
import { hidden, labels, withLabels, withoutAddresses } from "./peer-sdp";

const sdp = [
  "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1 2",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 203.0.113.9", "a=rtcp:9 IN IP4 203.0.113.9", "a=mid:0",
  "a=candidate:1 1 udp 2122194687 203.0.113.9 60589 typ host", "a=candidate:2 1 udp 58597631 192.0.2.2 49403 typ relay raddr 203.0.113.9 rport 60589",
  "m=video 60589 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 203.0.113.9", "a=mid:1",
  "m=video 0 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", "a=mid:2", "",
].join("\r\n");

describe("labels", () => {
  test("name the track of a section, and are read back", () => {
    const out = withLabels(sdp, new Map([["0", "trk_a"], ["1", "trk_b"], ["9", "trk_c"]]));
    expect([...labels(out)]).toEqual([["0", "trk_a"], ["1", "trk_b"]]);
    expect(out.endsWith("\r\n")).toBe(true);
    expect(out.split("\r\n").filter((l) => l === "")).toHaveLength(1);
  });
  test("a description without any is as it was", () => {
    expect(withLabels(sdp, new Map())).toBe(sdp);
    expect(labels("rubbish").size).toBe(0);
  });
});

describe("hidden addresses", () => {
  test("nothing of the own is left, and relays lose what they stand for", () => {
    const out = withoutAddresses(sdp);
    expect(out).not.toContain("203.0.113.9");
    expect(out).not.toContain("60589");
    expect(out).toContain("192.0.2.2 49403 typ relay raddr 0.0.0.0 rport 0");
    expect(out).toContain("m=video 0 "); // a refused section stays refused
  });
  test.each([
    ["candidate:1 1 udp 1 203.0.113.9 1 typ host", null],
    ["candidate:1 1 udp 1 203.0.113.9 1 typ srflx raddr 10.0.0.1 rport 2", null],
    ["candidate:1 1 udp 1 abcd.local 1 typ host", null],
    ["candidate:1 1 udp 1 203.0.113.9 1 typ relayed", null],
    ["candidate:1 1 udp 1 192.0.2.2 1 typ relay raddr fd00::1 rport 2 generation 0", "candidate:1 1 udp 1 192.0.2.2 1 typ relay raddr :: rport 0 generation 0"],
    ["", ""],
  ])("%s", (c, want) => expect(hidden(c)).toBe(want));
});
