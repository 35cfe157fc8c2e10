// Package rewrite turns the header of a received packet into the header one
// receiver's leg wants: its payload types, its extension ids, hop-local
// extensions made anew (topologies rule C8). Header bytes only, plus the VP8
// picture ids that must run on when a source is switched. No state of its own
// beyond the tables in [Map]; one goroutine.
package rewrite

import (
	"strings"

	"parley/internal/media/payload"
	"parley/internal/media/plane"
)

const (
	maxCodecs = 16
	maxExtID  = 31 // ids from here on are legal in the two-byte form but nobody assigns them
)

// Map is the translation from one publisher's section to one receiver's.
type Map struct {
	pts  [maxCodecs]pt
	npts int
	// anyRED spares looking where no codec has redundancy.
	anyRED bool
	exts   [maxExtID]uint8 // publisher id -> receiver id, 0 = drop
	dep    uint8           // publisher's id of the dependency descriptor
	mask   uint32          // publisher ids that are carried, as in graph.Packet.Exts
	Dst    plane.ExtIDs    // receiver's ids, for what is made anew
}

type pt struct {
	in, out, rtx uint8
	inRTX        uint8 // publisher's, 0 none
	red          uint8 // receiver's, 0 none
	codec        payload.Codec
}

// Which extensions pass (rule C8); all others are hop-local or unknown and are
// dropped.
var (
	// EndToEnd are what a source tells its receivers.
	EndToEnd = []plane.Ext{plane.ExtAudioLevel, plane.ExtOrientation, plane.ExtDependency, plane.ExtAbsCapture,
		plane.ExtPlayoutDelay, plane.ExtColorSpace, plane.ExtVideoContent}
	// Mixed are those of a mixer's stream: the levels belong to its CSRC list.
	Mixed = append([]plane.Ext{plane.ExtMixerLevel}, EndToEnd...)
	// Nameless are those without which a picture is shown wrong and that tell
	// nothing about who made it (RTCP-terminating MCU); a capture time would.
	Nameless = []plane.Ext{plane.ExtOrientation, plane.ExtDependency, plane.ExtColorSpace}
)

// New makes the tables: codecs by name and parameters, the carried extensions
// by URI.
func New(srcExts *plane.ExtIDs, src []plane.Codec, dstExts *plane.ExtIDs, dst []plane.Codec, carried []plane.Ext) Map {
	m := Map{Dst: *dstExts}
	for i := range src {
		if m.npts == maxCodecs {
			break
		}
		if d := match(&src[i], dst); d != nil {
			m.pts[m.npts] = pt{in: src[i].PT, out: d.PT, rtx: d.RTX, inRTX: src[i].RTX, red: d.RED, codec: payload.ByName(src[i].Name)}
			m.anyRED = m.anyRED || d.RED != 0
			m.npts++
		}
	}
	for _, x := range carried {
		if s, d := srcExts[x], dstExts[x]; s != 0 && d != 0 && s < maxExtID {
			m.exts[s] = d
			m.mask |= 1 << s
		}
	}
	m.dep = srcExts[plane.ExtDependency]
	return m
}

// match finds the receiver's codec that decodes what c carries: equal
// parameters first, else those whose payloads are compatible.
func match(c *plane.Codec, dst []plane.Codec) *plane.Codec {
	var found *plane.Codec
	for i := range dst {
		d := &dst[i]
		if !strings.EqualFold(d.Name, c.Name) || d.ClockRate != c.ClockRate || max(1, d.Channels) != max(1, c.Channels) {
			continue
		}
		if d.Fmtp == c.Fmtp {
			return d
		}
		if found == nil && compatible(c, d) {
			found = d
		}
	}
	return found
}

// compatible compares the parameters that change the bitstream: H.264's
// packetization mode (RFC 6184, section 8.2.2) and profile, VP9's and AV1's
// profile. The level may differ: it bounds what a receiver must do.
func compatible(a, b *plane.Codec) bool {
	switch payload.ByName(a.Name) {
	case payload.H264:
		return param(a.Fmtp, "packetization-mode", "0") == param(b.Fmtp, "packetization-mode", "0") &&
			h264Profile(a.Fmtp) == h264Profile(b.Fmtp)
	case payload.VP9:
		return param(a.Fmtp, "profile-id", "0") == param(b.Fmtp, "profile-id", "0")
	case payload.AV1:
		return param(a.Fmtp, "profile", "0") == param(b.Fmtp, "profile", "0")
	}
	return true
}

// h264Profile returns profile_idc; the constraint bits only narrow it.
func h264Profile(fmtp string) string {
	p := strings.ToLower(param(fmtp, "profile-level-id", "42000a"))
	if len(p) < 2 {
		return p
	}
	return p[:2]
}

// param finds key=value in a semicolon list.
func param(fmtp, key, def string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return def
}

// Empty reports that the two sections have no format in common.
func (m *Map) Empty() bool { return m.npts == 0 }

// Any translates a payload type of media or, where both sides have one, of its
// retransmissions.
func (m *Map) Any(in uint8) (out uint8, ok bool) {
	for i := range m.npts {
		switch p := &m.pts[i]; {
		case p.in == in:
			return p.out, true
		case p.inRTX == in && in != 0:
			return p.rtx, p.rtx != 0
		}
	}
	return 0, false
}

// RED returns the receiver's payload type of redundancy (RFC 2198) of what comes
// as in, 0 if it takes none.
func (m *Map) RED(in uint8) uint8 {
	if !m.anyRED {
		return 0
	}
	for i := range m.npts {
		if m.pts[i].in == in {
			return m.pts[i].red
		}
	}
	return 0
}

// PT translates a payload type; false when the receiver lacks the codec.
func (m *Map) PT(in uint8) (out, rtx uint8, c payload.Codec, ok bool) {
	for i := range m.npts {
		if p := &m.pts[i]; p.in == in {
			return p.out, p.rtx, p.codec, true
		}
	}
	return 0, 0, 0, false
}
