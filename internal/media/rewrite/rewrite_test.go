package rewrite

import (
	"testing"

	prtp "github.com/pion/rtp"

	"parley/internal/base/ring"
	"parley/internal/media/graph"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

func TestCodecsMatchByWhatTheyCarry(t *testing.T) {
	h264 := func(pt uint8, fmtp string) plane.Codec {
		return plane.Codec{Name: "H264", PT: pt, ClockRate: 90000, Fmtp: fmtp, RTX: pt + 1}
	}
	dst := []plane.Codec{
		{Name: "opus", PT: 63, ClockRate: 48000, Channels: 2},
		h264(100, "packetization-mode=0;profile-level-id=42e01f"),
		h264(102, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
		h264(104, "packetization-mode=1;profile-level-id=640c1f"),
		{Name: "VP9", PT: 110, ClockRate: 90000, Fmtp: "profile-id=2"},
		{Name: "vp8", PT: 111, ClockRate: 90000},
	}
	src := []plane.Codec{
		{Name: "opus", PT: 109, ClockRate: 48000, Channels: 2, Fmtp: "useinbandfec=1"},
		h264(1, "profile-level-id=42001f;packetization-mode=1"),
		h264(3, "profile-level-id=42001f"),
		h264(5, "packetization-mode=1;profile-level-id=64001f"),
		{Name: "VP9", PT: 7, ClockRate: 90000},
		{Name: "VP8", PT: 9, ClockRate: 90000},
		{Name: "PCMU", PT: 0, ClockRate: 8000},
	}
	m := New(&plane.ExtIDs{}, src, &plane.ExtIDs{}, dst, EndToEnd)
	for in, want := range map[uint8]uint8{109: 63, 1: 102, 3: 100, 5: 104, 9: 111} {
		if out, _, _, ok := m.PT(in); !ok || out != want {
			t.Errorf("%d -> %d %v, want %d", in, out, ok, want)
		}
	}
	for _, in := range []uint8{7, 0, 50} { // another VP9 profile; not offered; unknown
		if out, _, _, ok := m.PT(in); ok {
			t.Errorf("%d -> %d", in, out)
		}
	}
	if _, rtx, c, _ := m.PT(1); rtx != 103 || c != payload.H264 {
		t.Errorf("rtx %d codec %d", rtx, c)
	}
}

func TestExtensionsByURI(t *testing.T) {
	src := plane.ExtIDs{plane.ExtMID: 1, plane.ExtAudioLevel: 2, plane.ExtTransportCC: 3, plane.ExtDependency: 4, plane.ExtVideoTiming: 5}
	dst := plane.ExtIDs{plane.ExtMID: 5, plane.ExtAudioLevel: 4, plane.ExtTransportCC: 1, plane.ExtDependency: 2, plane.ExtVideoTiming: 3}
	c := []plane.Codec{{Name: "VP8", PT: 96, ClockRate: 90000}}
	m := New(&src, c, &dst, c, EndToEnd)
	for _, two := range []bool{false, true} {
		h := prtp.Header{Version: 2, PayloadType: 96, SSRC: 1}
		h.Extension, h.ExtensionProfile = true, 0xBEDE
		if two {
			h.ExtensionProfile = 0x1000
		}
		dd := []byte{0xC0, 0xFF, 0xFF, 7, 7}
		if two {
			dd = append(dd, make([]byte, 60)...) // a template structure needs the two-byte form
		}
		for id, d := range map[uint8][]byte{1: {'a'}, 2: {0x85}, 3: {9, 9}, 4: dd, 5: {1, 2, 3}, 9: {1}} {
			if err := h.SetExtension(id, d); err != nil {
				t.Fatal(err)
			}
		}
		b, err := (&prtp.Packet{Header: h, Payload: []byte{1}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		buf := ring.NewPool().Get()
		buf.N = copy(buf.B[:], b)
		p := graph.Packet{Buf: buf}
		if rtp.Parse(buf.Bytes(), &p.Hdr) != rtp.OK {
			t.Fatal("parse")
		}
		p.Exts = p.Hdr.ExtMask(buf.Bytes())
		out := make([]byte, rtp.MaxHeader)
		n, used := m.Header(out, &rtp.Fields{PayloadType: 1, SSRC: 2}, &Hop{MID: "zz", TWSeq: 0x0102, Frames: 3}, &p)
		var q prtp.Packet
		if err := q.Unmarshal(append(out[:n:n], 0)); err != nil || !used {
			t.Fatal(err, used)
		}
		if len(q.GetExtensionIDs()) != 4 || string(q.GetExtension(5)) != "zz" || q.GetExtension(4)[0] != 0x85 || q.GetExtension(1)[1] != 2 {
			t.Fatalf("two=%v %v", two, q)
		}
		if d := q.GetExtension(2); len(d) != len(dd) || d[1] != 0 || d[2] != 2 {
			t.Fatalf("dependency descriptor % x", d)
		}
	}
}

func BenchmarkHeader(b *testing.B) {
	src := plane.ExtIDs{plane.ExtAudioLevel: 2}
	dst := plane.ExtIDs{plane.ExtAudioLevel: 4, plane.ExtTransportCC: 1, plane.ExtAbsSendTime: 3}
	c := []plane.Codec{{Name: "VP8", PT: 96, ClockRate: 90000}}
	m := New(&src, c, &dst, c, EndToEnd)
	buf := ring.NewPool().Get()
	p := graph.Packet{Buf: buf}
	out := make([]byte, rtp.MaxHeader)
	b.ReportAllocs()
	for b.Loop() {
		m.Header(out, &rtp.Fields{PayloadType: 1, SSRC: 2}, &Hop{TWSeq: 1}, &p)
	}
}

// TestHeaderMakesHopLocalExtensionsAnew: send time, transport-wide number and
// MID are this leg's, whatever came.
func TestHeaderMakesHopLocalExtensionsAnew(t *testing.T) {
	src := plane.ExtIDs{plane.ExtAbsSendTime: 2, plane.ExtTransportCC: 3, plane.ExtMID: 4}
	dst := plane.ExtIDs{plane.ExtAbsSendTime: 5, plane.ExtTransportCC: 6, plane.ExtMID: 7}
	c := []plane.Codec{{Name: "VP8", PT: 96, ClockRate: 90000}}
	m := New(&src, c, &dst, c, EndToEnd)
	h := prtp.Header{Version: 2, SSRC: 1}
	for id, d := range map[uint8][]byte{2: {9, 9, 9}, 3: {8, 8}, 4: {'x'}} {
		if err := h.SetExtension(id, d); err != nil {
			t.Fatal(err)
		}
	}
	b, err := (&prtp.Packet{Header: h, Payload: []byte{1}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	buf := ring.NewPool().Get()
	buf.N = copy(buf.B[:], b)
	p := graph.Packet{Buf: buf}
	if rtp.Parse(buf.Bytes(), &p.Hdr) != rtp.OK {
		t.Fatal("parse")
	}
	p.Exts = p.Hdr.ExtMask(buf.Bytes())
	out := make([]byte, rtp.MaxHeader)
	// 2.75 s after a full 64 seconds, in 6.18 fixed point.
	n, _ := m.Header(out, &rtp.Fields{SSRC: 2}, &Hop{MID: "m", TWSeq: 0xABCD, AbsSend: AbsSendTime((64*7+2)<<32 | 3<<30)}, &p)
	var q prtp.Packet
	if err := q.Unmarshal(append(out[:n:n], 0)); err != nil {
		t.Fatal(err)
	}
	if got := q.GetExtension(5); string(got) != "\x0b\x00\x00" || string(q.GetExtension(6)) != "\xab\xcd" || string(q.GetExtension(7)) != "m" || len(q.GetExtensionIDs()) != 3 {
		t.Fatalf("% x, %v", got, q)
	}
}
