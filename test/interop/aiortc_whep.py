#!/usr/bin/python3
"""Receives by WHEP with aiortc and counts decoded frames. See README.md."""

import asyncio
import sys

import whip_http as http

try:
    import numpy
    from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
    from aiortc.mediastreams import MediaStreamError
except ImportError as e:
    http.report(ok=False, error="missing package: %s" % e)
    sys.exit(http.USAGE)


class Counter:
    """Decoded frames, the loudest sample, and the size of the last picture."""

    def __init__(self):
        self.frames = {"audio": 0, "video": 0}
        self.peak, self.size = 0, None

    async def drain(self, track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.frames[track.kind] += 1
            if track.kind == "audio":
                self.peak = max(self.peak, int(numpy.abs(frame.to_ndarray().astype(numpy.int32)).max()))
            else:
                self.size = [frame.width, frame.height]


async def run(args):
    pc, res, count = RTCPeerConnection(), http.Resource(args.url, args.token), Counter()
    connected, failed, tasks = asyncio.Event(), asyncio.Event(), []

    @pc.on("connectionstatechange")
    def _():
        if pc.connectionState == "connected":
            connected.set()
        if pc.connectionState in ("failed", "closed"):
            failed.set()

    @pc.on("track")
    def _(track):
        tasks.append(asyncio.ensure_future(count.drain(track)))

    pc.addTransceiver("audio", direction="recvonly")
    video = pc.addTransceiver("video", direction="recvonly")
    if args.video == "h264":  # else whatever the room has
        codecs = RTCRtpReceiver.getCapabilities("video").codecs
        video.setCodecPreferences([c for c in codecs if c.mimeType in ("video/H264", "video/rtx")])
    try:
        await pc.setLocalDescription(await pc.createOffer())
        try:
            answer = await asyncio.to_thread(res.offer, pc.localDescription.sdp)
            await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except (http.Refused, ValueError) as e:
            http.report(ok=False, error=str(e), state=pc.connectionState)
            return http.REFUSED
        await asyncio.wait(
            [asyncio.create_task(connected.wait()), asyncio.create_task(failed.wait())],
            timeout=args.timeout, return_when=asyncio.FIRST_COMPLETED,
        )
        if not connected.is_set():
            http.report(ok=False, error="not connected", state=pc.connectionState)
            return http.NOT_CONNECTED
        try:
            await asyncio.wait_for(failed.wait(), args.seconds)
        except asyncio.TimeoutError:
            pass
        ok = count.frames["audio"] > 0 and count.frames["video"] > 0
        state, status = pc.connectionState, await asyncio.to_thread(res.delete)
        http.report(ok=ok, state=state, audioFrames=count.frames["audio"], videoFrames=count.frames["video"],
                    codec=http.codec_of(answer, "video"), audioPeak=count.peak, size=count.size, delete=status)
        return http.OK if ok else http.NO_MEDIA
    finally:
        await pc.close()
        for t in tasks:
            t.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                print("track ended:", repr(outcome), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(asyncio.run(run(http.arguments(__doc__))))
