// What two devices write into the descriptions they exchange, and what they
// leave out. Pure functions on text.

/** Attribute that names the track of a section (RFC 4574): the id it has in the conference document. */
const LABEL = "a=label:";

/** A description cut into its session part and its sections. */
function sections(sdp: string): string[] {
  return sdp.split(/^(?=m=)/m);
}

const midOf = (section: string): string | undefined => /^a=mid:(\S+)/m.exec(section)?.[1];

/** Writes the track's id into each section that sends one. */
export function withLabels(sdp: string, tracks: ReadonlyMap<string, string>): string {
  const cut = sections(sdp);
  return cut
    .map((s, i) => {
      const id = i > 0 ? tracks.get(midOf(s) ?? "") : undefined;
      return id ? s.replace(/(\r?\n)?$/, `\r\n${LABEL}${id}\r\n`) : s;
    })
    .join("");
}

/** Section → track id, as the other side wrote it. */
export function labels(sdp: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const s of sections(sdp).slice(1)) {
    const mid = midOf(s);
    const id = /^a=label:(\S{1,128})\s*$/m.exec(s)?.[1];
    if (mid !== undefined && id) out.set(mid, id);
  }
  return out;
}

/** Whether a candidate tells no address but a relay's. */
const isRelay = (candidate: string) => / typ relay( |$)/.test(candidate);

/** A relay's candidate without the address it stands for (RFC 8839, section 5.1: any value will do). */
function bare(candidate: string): string {
  return candidate.replace(/ raddr \S+ rport \d+/, (m) => ` raddr ${m.includes(":") ? "::" : "0.0.0.0"} rport 0`);
}

/** A candidate as somebody who hides the own address may send it; null: not at all. */
export function hidden(candidate: string): string | null {
  if (candidate === "") return candidate; // the end of candidates
  return isRelay(candidate) ? bare(candidate) : null;
}

/** A description without any address of the sender's own. */
export function withoutAddresses(sdp: string): string {
  return sdp
    .split(/\r?\n/)
    .map((line) => {
      if (line.startsWith("a=candidate:")) return hidden(line);
      if (line.startsWith("c=IN IP")) return "c=IN IP4 0.0.0.0";
      if (line.startsWith("a=rtcp:")) return "a=rtcp:9 IN IP4 0.0.0.0";
      return line.replace(/^m=(\w+) \d+ /, (m, kind: string) => (/ 0 $/.test(m) ? m : `m=${kind} 9 `));
    })
    .filter((line) => line !== null)
    .join("\r\n");
}
