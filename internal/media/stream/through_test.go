package stream

import (
	"slices"
	"testing"

	"parley/internal/media/plane"
)

// TestForeignNumbersAreUsedOnce: no number of an SSRC that is not ours is sent
// twice, late ones of a short window are, and after BYE none.
func TestForeignNumbersAreUsedOnce(t *testing.T) {
	e := &Egress{}
	a, b := NewSource(1, plane.Track{}), NewSource(2, plane.Track{})
	for _, x := range []struct {
		seq  uint16
		want bool
	}{
		{65533, true}, {65533, false}, {1, true}, {65535, true}, {65535, false}, {0, true}, {0, false}, {65533, false}, {65534, true},
		{2, true}, {65, true}, {2, false}, {3, true}, {3, false}, {1, false}, // 1 is 64 behind
		{200, true}, {137, true}, {136, false}, {30000, true}, {200, false}, {62000, true}, {62000, false},
	} {
		if got := e.once(7, x.seq, a); got != x.want {
			t.Fatalf("%d: %v", x.seq, got)
		}
	}
	if !e.once(8, 5, b) || !e.once(9, 5, a) {
		t.Fatal("others are barred, too")
	}
	list := e.Foreign(nil, a)
	if slices.Sort(list); !slices.Equal(list, []uint32{7, 9}) || len(e.Foreign(nil, nil)) != 3 {
		t.Fatalf("%v", list)
	}
	e.Over(7)
	e.Over(99)
	if e.once(7, 62001, a) || !slices.Equal(e.Foreign(nil, a), []uint32{9}) {
		t.Fatal("goes on after BYE")
	}
	if !e.once(9, 6, b) || len(e.Foreign(nil, a)) != 0 {
		t.Fatal("the SSRC is not its new owner's")
	}
	e.Add(55, 56)
	for ssrc := uint32(55); ssrc <= 56; ssrc++ {
		if e.once(ssrc, 1, a) {
			t.Fatal("an SSRC of ours is lent")
		}
	}
	for ssrc := uint32(1000); ssrc < 1000+2*maxForeign; ssrc++ {
		e.once(ssrc, 1, a)
	}
	if len(e.foreign) != maxForeign {
		t.Fatalf("%d SSRCs kept", len(e.foreign))
	}
}
