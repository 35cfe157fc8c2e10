package simroom

import (
	"testing"
	"time"
)

// on tells which encodings a publisher sends.
func (u *Publisher) on() (n int) {
	for i := range u.Video.layers {
		if !u.Video.layers[i].Off {
			n++
		}
	}
	return n
}

// TestSFM9_UnwantedEncodings: what nobody wants is not sent, and is sent again
// before it is forwarded.
func TestSFM9_UnwantedEncodings(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(20*ms), wire(20*ms))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	b := r.Join("b", wire(20*ms), wire(20*ms))
	_, eye := b.Watch(a, Wants{Width: 1280})
	tr := r.Trace(b, eye)
	const small, large, joins, end = 15 * time.Second, 30 * time.Second, 45 * time.Second, 60 * time.Second
	r.At(small, func() { eye.Change(320, false) })
	off, back := time.Duration(-1), time.Duration(-1)
	r.Every(10*ms, func() {
		switch n := a.Pub.on(); {
		case r.Now() > small && r.Now() < large && n == 1 && off < 0:
			off = r.Now() - small
		case r.Now() > large && n == 3 && back < 0:
			back = r.Now() - large
		}
	})
	var before, after uint64
	r.At(large-5*time.Second, func() { before = a.Up.VideoBytes })
	r.At(large, func() { after = a.Up.VideoBytes; eye.Change(1280, false) })
	var late *View
	r.At(joins-10*time.Second, func() { eye.Change(320, false) })
	r.At(joins, func() {
		if n := a.Pub.on(); n != 1 {
			t.Errorf("%d encodings are on before the second joins", n)
		}
		_, late = r.Join("c", wire(20*ms), wire(20*ms)).Watch(a, Wants{Width: 1280})
	})
	r.Run(end)
	keepTrace(t, tr)
	orNone := func(d time.Duration) float64 {
		if d < 0 {
			return 999
		}
		return d.Seconds()
	}
	figure(t, "off after the last who wanted them, s", orNone(off), "<=", 5)
	figure(t, "uplink kbit/s of video while nobody wants more", float64(after-before)*8/5000, "<=", 1.2*Simulcast[0])
	figure(t, "on again after somebody wants them, s", orNone(back), "<=", 1)
	shown := firstOf(eye, large, 2)
	figure(t, "top shown again, s", orNone(shown), "<=", 2)
	first := firstOf(late, joins, 0)
	figure(t, "one who joins sees something, s", orNone(first), "<=", 1)
	figure(t, "one who joins sees the top, s", orNone(firstOf(late, joins, 2)), "<=", 3)
	n, longest := eye.Eye.Frozen(2*time.Second, end)
	figure(t, "freezes", float64(n), "<=", 0)
	t.Logf("longest %v; switches %v; requests %d", longest, switches(eye), len(a.Pub.Requests))
}

// firstOf returns how long after an instant an encoding, or a better one, was
// shown; -1 never.
func firstOf(v *View, from time.Duration, layer uint8) time.Duration {
	for _, s := range v.Eye.Since(from) {
		if s.Layer >= layer {
			return s.At.Sub(start) - from
		}
	}
	return -1
}
