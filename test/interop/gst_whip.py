#!/usr/bin/python3
"""Publishes a test picture and tone by WHIP with GStreamer webrtcbin. See README.md."""

import sys

import whip_http as http
from gst_client import Client, GLib, Gst, GstWebRTC, need

AUDIO = (
    "audiotestsrc is-live=true wave=sine freq=440 volume=0.25 ! audioconvert ! opusenc ! rtpopuspay name=audio pt=96 "
    "! application/x-rtp,media=audio,encoding-name=OPUS,payload=96 ! w. "
)
VIDEO = {
    "vp8": "vp8enc deadline=1 keyframe-max-dist=30 target-bitrate=400000 ! rtpvp8pay name=video pt=97 picture-id-mode=15-bit "
    "! application/x-rtp,media=video,encoding-name=VP8,payload=97 ! w. ",
    "h264": "openh264enc gop-size=30 bitrate=400000 ! video/x-h264,profile=constrained-baseline "
    "! rtph264pay name=video pt=97 config-interval=-1 aggregate-mode=zero-latency "
    "! application/x-rtp,media=video,encoding-name=H264,payload=97 ! w. ",
}
SOURCE = "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! "


def main():
    args = http.arguments(__doc__)
    need("webrtcbin", "nicesrc", "dtlssrtpenc", "opusenc", "rtpopuspay", {"vp8": "vp8enc", "h264": "openh264enc"}[args.video])
    # webrtcbin's default policy offers unbundled sections, which we refuse.
    client = Client(args, Gst.parse_launch("webrtcbin name=w bundle-policy=max-bundle " + AUDIO + SOURCE + VIDEO[args.video]))
    for kind in ("audio", "video"):
        client.count(kind, client.pipeline.get_by_name(kind).get_static_pad("src"))
    sections = 0
    while True:
        t = client.webrtc.emit("get-transceiver", sections)
        if t is None:
            break
        t.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        sections += 1

    def when_ready():
        # An offer made before the encoders have caps lacks their sections.
        pads = [p for p in client.webrtc.sinkpads if p.get_current_caps() is not None]
        if len(pads) < 2:
            return True
        return client.offer()

    GLib.timeout_add(50, when_ready)
    return client.run()


if __name__ == "__main__":
    sys.exit(main())
