package worker

import (
	"testing"

	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/transport/tcp"
)

// TestTCPClass: a full TCP queue drops video before audio before control, so
// each packet's class follows what was negotiated.
func TestTCPClass(t *testing.T) {
	l := &leg{}
	l.learn(plane.LegMedia{Sections: []plane.Section{
		{Kind: plane.Audio, Send: &plane.Send{Codecs: []plane.Codec{{PT: 111}, {PT: 0}}}},
		{Kind: plane.Audio, Recv: &plane.Recv{Codecs: []plane.Codec{{PT: 9}}}},
		{Kind: plane.Video, Send: &plane.Send{Codecs: []plane.Codec{{PT: 96, RTX: 97}}}},
	}})
	var b graph.Batch
	for _, c := range []struct {
		pt   byte
		rtcp bool
		want tcp.Class
	}{
		{111, false, tcp.Audio}, {111 | 0x80, false, tcp.Audio}, {0, false, tcp.Audio}, {9, false, tcp.Video},
		{96, false, tcp.Video}, {97, false, tcp.Video}, {200, true, tcp.Control},
	} {
		off, h := b.Grow(12)
		h[0], h[1] = 0x80, c.pt
		s := graph.Send{RTCP: c.rtcp, HdrOff: off, HdrLen: 12}
		if got := l.class(&b, &s); got != c.want {
			t.Errorf("payload type %d: class %d, want %d", c.pt&0x7f, got, c.want)
		}
	}
	l.learn(plane.LegMedia{})
	_, h := b.Grow(12)
	h[1] = 111
	if l.class(&b, &graph.Send{HdrLen: 12}) != tcp.Video {
		t.Error("an old description still counts")
	}
}
