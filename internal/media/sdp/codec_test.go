package sdp

import (
	"testing"

	"parley/internal/media/plane"
)

func h264Codec(pt uint8, fmtp string) plane.Codec {
	return plane.Codec{Name: "H264", PT: pt, ClockRate: 90000, Fmtp: fmtp}
}

func TestFindCodecH264(t *testing.T) {
	const asym = "level-asymmetry-allowed=1;"
	for _, c := range []struct {
		name, want string
		list       []string
		pt         uint8 // index+1 of the match, 0 = none
	}{
		{"same text", asym + "packetization-mode=1;profile-level-id=42e01f", []string{asym + "packetization-mode=1;profile-level-id=42e01f"}, 1},
		{"order of parameters and case", asym + "packetization-mode=1;profile-level-id=42E01F", []string{"profile-level-id=42e01f; packetization-mode=1;level-asymmetry-allowed=1"}, 1},
		{"equal profile by constraint bits", asym + "packetization-mode=1;profile-level-id=42e01f", []string{asym + "packetization-mode=1;profile-level-id=4de01f", asym + "packetization-mode=1;profile-level-id=42c01f"}, 1},
		{"packetization mode counts", asym + "packetization-mode=0;profile-level-id=42e01f", []string{asym + "packetization-mode=1;profile-level-id=42e01f", asym + "profile-level-id=42e01f"}, 2},
		{"exact before wider", asym + "packetization-mode=1;profile-level-id=42e01f", []string{asym + "packetization-mode=1;profile-level-id=640c1f", asym + "packetization-mode=1;profile-level-id=42e01f"}, 2},
		{"constrained baseline fits main", asym + "packetization-mode=1;profile-level-id=42e01f", []string{asym + "packetization-mode=1;profile-level-id=4d001f"}, 1},
		{"high does not fit baseline", asym + "packetization-mode=1;profile-level-id=64001f", []string{asym + "packetization-mode=1;profile-level-id=42e01f"}, 0},
		{"asymmetry frees the level", asym + "packetization-mode=1;profile-level-id=42e034", []string{asym + "packetization-mode=1;profile-level-id=42e01f"}, 1},
		{"a higher level without asymmetry", "packetization-mode=1;profile-level-id=42e034", []string{asym + "packetization-mode=1;profile-level-id=42e01f"}, 0},
		{"a lower level without asymmetry", "packetization-mode=1;profile-level-id=42e015", []string{"packetization-mode=1;profile-level-id=42e01f"}, 1},
		{"GStreamer without profile", "packetization-mode=1", []string{asym + "packetization-mode=1;profile-level-id=42e01f"}, 1},
	} {
		var list []plane.Codec
		for i, f := range c.list {
			list = append(list, h264Codec(uint8(i+1), f))
		}
		got, ok := FindCodec(list, h264Codec(99, c.want))
		if ok != (c.pt != 0) || got.PT != c.pt {
			t.Errorf("%s: %v %+v", c.name, ok, got)
		}
	}
}

func TestFindCodecOthers(t *testing.T) {
	list := []plane.Codec{
		{Name: "VP9", PT: 1, ClockRate: 90000, Fmtp: "profile-id=2"},
		{Name: "VP9", PT: 2, ClockRate: 90000, Fmtp: "max-fs=12288"},
		{Name: "AV1", PT: 3, ClockRate: 90000, Fmtp: "level-idx=5;profile=0;tier=0"},
		{Name: "opus", PT: 4, ClockRate: 48000, Channels: 2},
		{Name: "G722", PT: 5, ClockRate: 8000, Channels: 1},
	}
	for _, c := range []struct {
		want plane.Codec
		pt   uint8
	}{
		{plane.Codec{Name: "VP9", ClockRate: 90000, Fmtp: "profile-id=0"}, 2},
		{plane.Codec{Name: "VP9", ClockRate: 90000, Fmtp: "profile-id=2"}, 1},
		{plane.Codec{Name: "VP9", ClockRate: 90000, Fmtp: "profile-id=1"}, 0},
		{plane.Codec{Name: "AV1", ClockRate: 90000}, 3},
		{plane.Codec{Name: "AV1", ClockRate: 90000, Fmtp: "profile=1"}, 0},
		{plane.Codec{Name: "OPUS", ClockRate: 48000, Channels: 2}, 4},
		{plane.Codec{Name: "opus", ClockRate: 48000}, 0},
		{plane.Codec{Name: "G722", ClockRate: 8000}, 5},
		{plane.Codec{Name: "VP8", ClockRate: 90000}, 0},
	} {
		if got, ok := FindCodec(list, c.want); ok != (c.pt != 0) || got.PT != c.pt {
			t.Errorf("%+v: %v %d", c.want, ok, got.PT)
		}
	}
}

func TestKnownLeavesOutWhatWeDoNotForward(t *testing.T) {
	offer := realOffer(t, "chromium-recvonly")
	for _, s := range offer.Sections {
		for _, c := range s.Codecs {
			switch c.Name {
			case "red", "ulpfec", "flexfec-03", "CN", "telephone-event", "H265":
				if Known(s.Kind, c) {
					t.Errorf("%+v", c)
				}
			case "opus", "VP8", "G722", "PCMU", "PCMA":
				if !Known(s.Kind, c) {
					t.Errorf("%+v", c)
				}
			}
		}
	}
	if Known(plane.Audio, plane.Codec{Name: "VP8", ClockRate: 90000}) || Known(plane.Video, h264Codec(1, "profile-level-id=f4001f")) || Known(plane.Video, h264Codec(1, "profile-level-id=zz")) {
		t.Error("unfit codec known")
	}
}

// RFC 6184, table 5.
func TestRFC6184ProfileTable(t *testing.T) {
	for id, want := range map[string]h264{
		"42e01f": profileCB, "42c01f": profileCB, "42401f": profileCB, "4d801f": profileCB, "58c01f": profileCB,
		"42001f": profileB, "42801f": profileB, "58801f": profileB,
		"4d001f": profileMain, "4d401f": profileMain, "64001f": profileHigh, "640c1f": profileCHigh,
		"f4001f": profileOther, "58001f": profileOther, "": profileOther,
	} {
		if got, _ := h264Profile(h264Codec(1, "profile-level-id="+id)); got != want {
			t.Errorf("%s: %d, want %d", id, got, want)
		}
	}
}
