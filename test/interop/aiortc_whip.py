#!/usr/bin/python3
"""Publishes a generated picture and tone by WHIP with aiortc. See README.md."""

import asyncio
import fractions
import math
import signal
import sys

import whip_http as http

try:
    import av
    import numpy
    from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
except ImportError as e:
    http.report(ok=False, error="missing package: %s" % e)
    sys.exit(http.USAGE)


class Paced(MediaStreamTrack):
    """A source of one frame an interval, in the loop's time."""

    def __init__(self, interval):
        super().__init__()
        self.interval, self.count, self.start = interval, 0, None

    async def tick(self):
        loop = asyncio.get_running_loop()
        if self.start is None:
            self.start = loop.time()
        await asyncio.sleep(max(0, self.start + self.count * self.interval - loop.time()))
        self.count += 1
        return self.count - 1


class Tone(Paced):
    """A 440 Hz sine at a quarter of full scale."""

    kind = "audio"
    rate, samples = 48000, 960

    def __init__(self):
        super().__init__(self.samples / self.rate)

    async def recv(self):
        n = await self.tick()
        t = (numpy.arange(self.samples) + n * self.samples) * (2 * math.pi * 440 / self.rate)
        data = (numpy.sin(t) * 8192).astype(numpy.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = self.rate, n * self.samples, fractions.Fraction(1, self.rate)
        return frame


class Picture(Paced):
    """A bar that moves over a grey ramp, 320x240 at 15 frames a second."""

    kind = "video"

    def __init__(self):
        super().__init__(1 / 15)
        self.ramp = numpy.repeat(numpy.linspace(30, 220, 320)[None, :, None], 240, 0).repeat(3, 2).astype(numpy.uint8)

    async def recv(self):
        n = await self.tick()
        image = self.ramp.copy()
        x = (n * 8) % 300
        image[:, x : x + 20] = (255, 64, 0)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = n * 6000, fractions.Fraction(1, 90000)
        return frame


async def sent_packets(pc, kind):
    for sender in pc.getSenders():
        if sender.track is not None and sender.kind == kind:
            for s in (await sender.getStats()).values():
                if s.type == "outbound-rtp":
                    return s.packetsSent
    return 0


async def run(args):
    pc, res = RTCPeerConnection(), http.Resource(args.url, args.token)
    connected, failed, enough = asyncio.Event(), asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, enough.set)

    @pc.on("connectionstatechange")
    def _():
        if pc.connectionState == "connected":
            connected.set()
        if pc.connectionState in ("failed", "closed"):
            failed.set()

    pc.addTransceiver(Tone(), direction="sendonly")
    video = pc.addTransceiver(Picture(), direction="sendonly")
    wanted = "video/" + args.video.upper()
    video.setCodecPreferences(
        [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType in (wanted, "video/rtx")]
    )
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
        await asyncio.wait(
            [asyncio.create_task(enough.wait()), asyncio.create_task(failed.wait())],
            timeout=args.seconds, return_when=asyncio.FIRST_COMPLETED,
        )
        audio, video_sent = await sent_packets(pc, "audio"), await sent_packets(pc, "video")
        ok = audio > 0 and video_sent > 0 and not failed.is_set()
        state, status = pc.connectionState, await asyncio.to_thread(res.delete)
        http.report(ok=ok, state=state, audioFrames=audio, videoFrames=video_sent,
                    codec=http.codec_of(answer, "video"), delete=status)
        return http.OK if ok else http.NO_MEDIA
    finally:
        await pc.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(run(http.arguments(__doc__))))
