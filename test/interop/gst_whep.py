#!/usr/bin/python3
"""Receives by WHEP with GStreamer webrtcbin and counts decoded frames. See README.md."""

import sys

import whip_http as http
from gst_client import Client, GLib, Gst, GstWebRTC, need

CAPS = {
    "audio": "application/x-rtp,media=audio,encoding-name=OPUS,payload=96,clock-rate=48000,encoding-params=(string)2",
    "vp8": "application/x-rtp,media=video,encoding-name=VP8,payload=97,clock-rate=90000,rtcp-fb-nack-pli=true",
    "h264": "application/x-rtp,media=video,encoding-name=H264,payload=97,clock-rate=90000,rtcp-fb-nack-pli=true,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f,level-asymmetry-allowed=(string)1",
}


def on_pad(webrtc, pad, client):
    if pad.get_direction() != Gst.PadDirection.SRC:
        return
    kind = pad.get_current_caps().get_structure(0).get_string("media")
    decode = Gst.ElementFactory.make("decodebin")
    decode.connect("pad-added", on_decoded, client, kind)
    client.pipeline.add(decode)
    decode.sync_state_with_parent()
    pad.link(decode.get_static_pad("sink"))


def on_decoded(_decode, pad, client, kind):
    sink = Gst.ElementFactory.make("fakesink")
    sink.set_property("sync", False)
    client.pipeline.add(sink)
    sink.sync_state_with_parent()
    client.count(kind, pad)
    pad.link(sink.get_static_pad("sink"))


def main():
    args = http.arguments(__doc__)
    need("webrtcbin", "nicesrc", "dtlssrtpdec", "decodebin", "opusdec", {"vp8": "vp8dec", "h264": "openh264dec"}[args.video])
    pipeline = Gst.Pipeline.new("whep")
    webrtc = Gst.ElementFactory.make("webrtcbin", "w")
    webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    pipeline.add(webrtc)
    client = Client(args, pipeline)
    webrtc.connect("pad-added", on_pad, client)
    for caps in (CAPS["audio"], CAPS[args.video]):
        webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
    GLib.timeout_add(100, client.offer)
    return client.run()


if __name__ == "__main__":
    sys.exit(main())
