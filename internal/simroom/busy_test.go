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
