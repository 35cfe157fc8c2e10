package sdp

import (
	"strconv"
	"strings"

	"parley/internal/media/plane"
)

// known is what the server forwards, with the canonical spelling.
var known = map[string]struct {
	name string
	kind plane.Kind
	rate uint32
}{
	"opus": {"opus", plane.Audio, 48000},
	"pcmu": {"PCMU", plane.Audio, 8000},
	"pcma": {"PCMA", plane.Audio, 8000},
	"g722": {"G722", plane.Audio, 8000},
	"vp8":  {"VP8", plane.Video, 90000},
	"vp9":  {"VP9", plane.Video, 90000},
	"h264": {"H264", plane.Video, 90000},
	"av1":  {"AV1", plane.Video, 90000},
}

// canonical spells a known codec's name; others stay (GStreamer writes OPUS).
func canonical(name string) string {
	if k, ok := known[strings.ToLower(name)]; ok {
		return k.name
	}
	return name
}

// Known reports whether the server forwards this codec. red, ulpfec, flexfec,
// comfort noise and telephone-event are left out of answers; H.264 beyond
// profile High, VP9 beyond profiles 0 and 2 and AV1 beyond profile 0 as well,
// since hardly two ends share them.
func Known(kind plane.Kind, c plane.Codec) bool {
	k, ok := known[strings.ToLower(c.Name)]
	if !ok || k.kind != kind || k.rate != c.ClockRate {
		return false
	}
	switch k.name {
	case "opus":
		return c.Channels == 2 // RFC 7587, section 7: always 2
	case "H264":
		m, _ := Param(c.Fmtp, "packetization-mode")
		p, _ := h264Profile(c)
		return p != profileOther && (m == "" || m == "0" || m == "1")
	case "VP9":
		p := param(c, "profile-id", "0")
		return p == "0" || p == "2"
	case "AV1":
		return param(c, "profile", "0") == "0"
	}
	return true
}

// Param finds one parameter of a=fmtp text ("a=1;b=2"); names match in any case.
func Param(fmtp, name string) (string, bool) {
	for fmtp != "" {
		var p string
		p, fmtp, _ = strings.Cut(fmtp, ";")
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(k, name) {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

func param(c plane.Codec, name, def string) string {
	if v, ok := Param(c.Fmtp, name); ok {
		return v
	}
	return def
}

// FindCodec finds in list the format that can carry what is sent as want: the
// same codec with equal parameters where they change the bitstream. For H.264
// that is the profile (by equivalence of RFC 6184, table 5, not by text), the
// packetization mode, and the level unless both sides allow asymmetry; a
// constrained baseline stream also fits a baseline, main or high receiver.
func FindCodec(list []plane.Codec, want plane.Codec) (plane.Codec, bool) {
	for _, c := range list {
		if fits(c, want, false) {
			return c, true
		}
	}
	for _, c := range list {
		if fits(c, want, true) {
			return c, true
		}
	}
	return plane.Codec{}, false
}

// fits reports whether a receiver of c can take want; wider also lets a richer
// H.264 profile take a poorer stream.
func fits(c, want plane.Codec, wider bool) bool {
	if !strings.EqualFold(c.Name, want.Name) || c.ClockRate != want.ClockRate ||
		max(c.Channels, 1) != max(want.Channels, 1) {
		return false
	}
	switch strings.ToUpper(c.Name) {
	case "H264":
		return h264Fits(c, want, wider)
	case "VP9":
		return param(c, "profile-id", "0") == param(want, "profile-id", "0")
	case "AV1":
		return param(c, "profile", "0") == param(want, "profile", "0")
	}
	return true
}

func h264Fits(c, want plane.Codec, wider bool) bool {
	if param(c, "packetization-mode", "0") != param(want, "packetization-mode", "0") {
		return false
	}
	have, haveLevel := h264Profile(c)
	need, needLevel := h264Profile(want)
	asym := param(c, "level-asymmetry-allowed", "0") == "1" && param(want, "level-asymmetry-allowed", "0") == "1"
	if !asym && needLevel > haveLevel {
		return false
	}
	if have == need {
		return have != profileOther || strings.EqualFold(param(c, "profile-level-id", ""), param(want, "profile-level-id", ""))
	}
	// Constrained baseline is a subset of baseline, main and high.
	return wider && need == profileCB && (have == profileB || have == profileMain || have == profileHigh || have == profileCHigh)
}

type h264 uint8

const (
	profileOther h264 = iota
	profileCB
	profileB
	profileMain
	profileCHigh
	profileHigh
)

// h264Profile reads profile-level-id: profile_idc, constraint flags, level_idc.
// An absent one is constrained baseline level 3.1: RFC 6184 says baseline 1, but
// browsers take it so, and GStreamer leaves it out of such streams.
func h264Profile(c plane.Codec) (h264, uint8) {
	v, ok := Param(c.Fmtp, "profile-level-id")
	if !ok {
		return profileCB, 0x1f
	}
	n, err := strconv.ParseUint(v, 16, 32)
	if err != nil || len(v) != 6 {
		return profileOther, 0
	}
	level, iop := uint8(n), uint8(n>>8)
	for _, r := range h264Table {
		if r.idc == uint8(n>>16) && iop&r.mask == r.bits {
			return r.profile, level
		}
	}
	return profileOther, level
}

// h264Table is RFC 6184, table 5, with constrained high added: profile_idc and
// the constraint bits that matter.
var h264Table = []struct {
	idc, mask, bits uint8
	profile         h264
}{
	{0x42, 0x4f, 0x40, profileCB},
	{0x4d, 0x8f, 0x80, profileCB},
	{0x58, 0xcf, 0xc0, profileCB},
	{0x42, 0x4f, 0x00, profileB},
	{0x58, 0xcf, 0x80, profileB},
	{0x4d, 0xaf, 0x00, profileMain},
	{0x64, 0xff, 0x0c, profileCHigh},
	{0x64, 0xff, 0x00, profileHigh},
}

// order puts the preferred codecs first and keeps the rest in the offer's order.
func order(list []plane.Codec, first *plane.Codec, prefer []string) []plane.Codec {
	out := make([]plane.Codec, 0, len(list))
	taken := make([]bool, len(list))
	take := func(i int) {
		if !taken[i] {
			taken[i] = true
			out = append(out, list[i])
		}
	}
	for i := range list {
		if first != nil && list[i].PT == first.PT {
			take(i)
		}
	}
	for _, name := range prefer {
		for i := range list {
			if strings.EqualFold(list[i].Name, name) {
				take(i)
			}
		}
	}
	for i := range list {
		take(i)
	}
	return out
}
