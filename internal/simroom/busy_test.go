package simroom

import (
	"testing"
	"time"
)

// TestAReceiverThatMakesRoomLate: browsers drop the packets of a stream that is new
// to them until they have made room for it, and tell that they are lost; on a busy
// machine that takes a second. That is no loss of the path, and costs nobody the
// picture: here of two people who come to one that is heard.
func TestAReceiverThatMakesRoomLate(t *testing.T) {
	for _, busy := range []time.Duration{100 * ms, 300 * ms, 500 * ms, time.Second, 2 * time.Second} {
		t.Run(busy.String(), func(t *testing.T) {
			r := newRoom(t)
			c := r.Join("c", wire(ms), wire(ms))
			a := r.Join("a", wire(ms), wire(ms))
			a.Publish(Media{Speaks: true})
			c.Watch(a, Wants{})
			var eyes []*View
			const from, end = time.Second, 12 * time.Second
			for _, name := range []string{"b", "d"} {
				p := r.Join(name, wire(ms), wire(ms))
				p.Publish(Media{Layers: []float64{450}})
				r.At(from, func() {
					_, v := c.Watch(p, Wants{Busy: busy})
					eyes = append(eyes, v)
				})
			}
			r.Run(end)
			for _, v := range eyes {
				first := time.Duration(-1)
				if s := v.Eye.Since(0); len(s) > 0 {
					first = s[0].At.Sub(start) - from - busy
				}
				n, longest := v.Eye.Frozen(from+busy+first, end)
				figure(t, v.Of.Name+": first picture after there was room, s", orNever(first), "<=", 1.2)
				figure(t, v.Of.Name+": freezes after it", float64(n), "<=", 0)
				t.Logf("longest without a picture %v", longest)
			}
		})
	}
}

// TestRoomIsLookedForBeforeTheFirstPicture: a picture for which there was no room from
// its beginning comes once there is room: the path is probed though nothing of it was
// ever sent.
func TestRoomIsLookedForBeforeTheFirstPicture(t *testing.T) {
	r := newRoom(t)
	narrow := bottleneck(120_000)
	c := r.Join("c", wire(20*ms), narrow)
	a := r.Join("a", wire(ms), wire(ms))
	a.Publish(Media{Speaks: true, Layers: []float64{450}})
	b := r.Join("b", wire(ms), wire(ms))
	b.Publish(Media{Layers: []float64{450}})
	_, first := c.Watch(a, Wants{})
	const from, wide, end = 6 * time.Second, 12 * time.Second, 30 * time.Second
	var second *View
	r.At(from, func() {
		first.Change(0, true)
		_, second = c.Watch(b, Wants{})
	})
	steps(r, c, step{wide, 10_000_000})
	r.Run(wide)
	if n := second.Bytes; n > 0 {
		t.Fatalf("%d bytes of the picture came while there was no room", n)
	}
	r.Run(end - wide)
	came := time.Duration(-1)
	if s := second.Eye.Since(0); len(s) > 0 {
		came = s[0].At.Sub(start) - wide
	}
	figure(t, "a picture after there was room, s", orNever(came), "<=", 10)
}
