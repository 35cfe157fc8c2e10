"""What gst_whip.py and gst_whep.py share: a webrtcbin that offers, posts and waits."""

import signal
import sys

import whip_http as http

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstWebRTC", "1.0")
    gi.require_version("GstSdp", "1.0")
    from gi.repository import GLib, Gst, GstSdp, GstWebRTC
except (ImportError, ValueError) as e:
    http.report(ok=False, error="missing package: %s" % e)
    sys.exit(http.USAGE)

Gst.init(None)


def need(*elements):
    """Ends with USAGE when an element is not installed."""
    missing = [e for e in elements if Gst.ElementFactory.find(e) is None]
    if missing:
        http.report(ok=False, error="missing GStreamer elements: " + " ".join(missing))
        sys.exit(http.USAGE)


class Client:
    """One webrtcbin in one pipeline, in one GLib main loop."""

    def __init__(self, args, pipeline):
        self.args, self.pipeline = args, pipeline
        self.loop, self.res = GLib.MainLoop(), http.Resource(args.url, args.token)
        self.code, self.error, self.answer, self.posted, self.kept = http.NOT_CONNECTED, "not connected", "", False, []
        self.frames = {"audio": 0, "video": 0}
        self.webrtc = pipeline.get_by_name("w")
        self.webrtc.connect("notify::ice-gathering-state", self.on_gathering)
        self.webrtc.connect("notify::connection-state", self.on_state)
        bus = pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.on_error)

    def count(self, kind, pad):
        """Counts the buffers that pass a pad."""

        def probe(_pad, info):
            # Payloaders push the packets of one frame as a list.
            batch = info.get_buffer_list() if info.type & Gst.PadProbeType.BUFFER_LIST else None
            self.frames[kind] += batch.length() if batch else 1
            return Gst.PadProbeReturn.OK

        pad.add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST, probe)

    def offer(self):
        """Starts the offer; publishers call it when caps are known, players at once."""
        self.webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.on_offer))
        return False

    def on_offer(self, promise):
        if promise.wait() != Gst.PromiseResult.REPLIED:
            return self.end(http.REFUSED, "no offer made")
        reply = promise.get_reply()
        offer = reply["offer"] if hasattr(reply, "__getitem__") else reply.get_value("offer")
        if offer is None:
            return self.end(http.REFUSED, "no offer made")
        self.kept += [reply, offer]  # the binding frees the description with the reply
        self.webrtc.emit("set-local-description", offer, Gst.Promise.new())
        return None

    def on_gathering(self, *_):
        if self.webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.post)

    def post(self):
        if self.posted:
            return False
        self.posted = True
        try:
            self.answer = self.res.offer(self.webrtc.get_property("local-description").sdp.as_text())
        except http.Refused as e:
            self.end(http.REFUSED, str(e))
            return False
        result, message = GstSdp.SDPMessage.new()
        if GstSdp.sdp_message_parse_buffer(self.answer.encode(), message) != GstSdp.SDPResult.OK:
            self.end(http.REFUSED, "answer does not parse")
            return False
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.webrtc.emit("set-remote-description", answer, Gst.Promise.new_with_change_func(self.on_answer))
        return False

    def on_answer(self, promise):
        reply = promise.get_reply() if promise.wait() == Gst.PromiseResult.REPLIED else None
        if reply is not None and reply.has_field("error"):
            self.end(http.REFUSED, "answer refused")

    def on_state(self, *_):
        state = self.webrtc.get_property("connection-state")
        if state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED and self.code == http.NOT_CONNECTED:
            self.code, self.error = http.NO_MEDIA, "no media"
            GLib.timeout_add(int(self.args.seconds * 1000), self.end, None, None)
        elif state == GstWebRTC.WebRTCPeerConnectionState.FAILED:
            self.end(None, None)

    def on_error(self, _bus, message):
        err, _ = message.parse_error()
        self.end(None, "pipeline: " + err.message)

    def end(self, code, error):
        if code is not None:
            self.code = code
        if error is not None:
            self.error = error
        GLib.idle_add(self.loop.quit)
        return False

    def run(self):
        """Plays until the end, reports, and returns the exit code."""
        GLib.timeout_add(int(self.args.timeout * 1000), self.expire)
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, self.end, None, None)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        state = self.webrtc.get_property("connection-state").value_nick
        if self.code == http.NO_MEDIA and self.frames["audio"] > 0 and self.frames["video"] > 0:
            self.code = http.OK
        status = self.res.delete()
        result = dict(ok=self.code == http.OK, state=state, audioFrames=self.frames["audio"],
                      videoFrames=self.frames["video"], codec=http.codec_of(self.answer, "video"), delete=status)
        if self.code != http.OK:
            result["error"] = self.error
        self.pipeline.set_state(Gst.State.NULL)
        http.report(**result)
        return self.code

    def expire(self):
        if self.code == http.NOT_CONNECTED:
            self.end(None, None)
        return False
