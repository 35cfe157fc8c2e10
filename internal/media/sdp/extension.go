package sdp

import "parley/internal/media/plane"

// extURI is the name of each known header extension.
var extURI = [plane.ExtCount]string{
	plane.ExtMID:          "urn:ietf:params:rtp-hdrext:sdes:mid",
	plane.ExtRID:          "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
	plane.ExtRepairedRID:  "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
	plane.ExtAudioLevel:   "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
	plane.ExtTransportCC:  "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
	plane.ExtAbsSendTime:  "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
	plane.ExtOrientation:  "urn:3gpp:video-orientation",
	plane.ExtDependency:   "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
	plane.ExtAbsCapture:   "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
	plane.ExtPlayoutDelay: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
	plane.ExtColorSpace:   "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
	plane.ExtVideoContent: "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
	plane.ExtVideoTiming:  "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
	plane.ExtMixerLevel:   "urn:ietf:params:rtp-hdrext:csrc-audio-level",
}

var extByURI = func() map[string]plane.Ext {
	m := make(map[string]plane.Ext, len(extURI))
	for e, uri := range extURI {
		m[uri] = plane.Ext(e)
	}
	return m
}()

// URI returns the extension's name as in a=extmap.
func URI(e plane.Ext) string {
	if int(e) < len(extURI) {
		return extURI[e]
	}
	return ""
}

// wanted is the direction, from the server's view, in which each extension is of
// use: RIDs only come in (an SFU sends each receiver one stream), mixer levels
// only go out.
func wanted(e plane.Ext) Direction {
	switch e {
	case plane.ExtRID, plane.ExtRepairedRID:
		return RecvOnly
	case plane.ExtMixerLevel:
		return SendOnly
	}
	return SendRecv
}

// flip turns the author's direction into the other side's.
func flip(d Direction) Direction { return d>>1&1 | d<<1&2 }

// answerExt returns the direction in which an offered extension is answered on
// a section of direction dir (ours); Inactive means: leave it out. An inactive
// section keeps the map it would have, so that waking it changes no id.
func answerExt(e Extension, dir Direction) Direction {
	d := flip(e.Direction) & wanted(e.Ext)
	if dir != Inactive {
		d &= dir
	}
	return d
}
