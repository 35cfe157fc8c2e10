// What a receiver reports. Chromium (156) loses sight of a receiver whose SSRC no
// description names once another sender takes the section over: its own report is
// then empty, and only that of the connection has the numbers.

type Stat = Record<string, unknown>;

/** The report of a receiver, from that of its connection where its own says nothing. */
export async function receiverStats(receiver: RTCRtpReceiver, pc?: RTCPeerConnection): Promise<Stat[]> {
  const own = [...(await receiver.getStats()).values()] as Stat[];
  if (!pc || own.some((s) => s["type"] === "inbound-rtp")) return own;
  const all = [...(await pc.getStats()).values()] as Stat[];
  return all.filter((s) => s["type"] !== "inbound-rtp" || s["trackIdentifier"] === receiver.track.id);
}
