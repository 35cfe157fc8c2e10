package link

import (
	"testing"

	"parley/internal/base/ring"
	"parley/internal/transport/demux"
	"parley/internal/transport/ice"
)

// FuzzHandleDatagram: no datagram that is not authentic changes a link or makes
// it answer, whatever it looks like and wherever it comes from.
func FuzzHandleDatagram(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, true)
	f.Add(append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 1}, make([]byte, 39)...), true)
	f.Add(append([]byte{0x80, 96}, make([]byte, 60)...), true)
	f.Add(append([]byte{0x80, 200, 0, 6}, make([]byte, 60)...), false)
	f.Fuzz(func(t *testing.T, b []byte, known bool) {
		x := newBench(t, false)
		buf := ring.NewPool().Get()
		from := other
		if known {
			if x.check(home) == nil {
				t.Fatal("check not answered")
			}
			from = home
		}
		x.sent = nil
		before, _ := x.l.State()
		kind, reason := demux.Classify(b)
		if reason != demux.ReasonNone {
			return // never reaches a link
		}
		if r := x.l.HandleDatagram(x.now, kind, from, b, buf); r != Nothing {
			t.Fatalf("result %d for %x", r, b)
		}
		if after, _ := x.l.State(); after != before || len(x.sent) != 0 || buf.N != 0 {
			t.Fatalf("state %v to %v, %d answers", before, after, len(x.sent))
		}
		if p, ok := x.l.Path(); ok != known || ok && p != (ice.Path{Addr: home.Addr}) {
			t.Fatalf("path %v", p)
		}
	})
}
