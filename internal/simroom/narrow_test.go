package simroom

import (
	"testing"
	"time"
)

// TestSWX9_NarrowAndWide: one receiver's way falls from 3 Mbit/s to 300 kbit/s and
// comes back; its picture steps down within a second, never stands for longer,
// and is the best again within ten. Another receiver sees nothing of it.
func TestSWX9_NarrowAndWide(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(0), wire(0))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	down := bottleneck(3_000_000)
	down.Delay = 20 * ms
	b := r.Join("b", wire(20*ms), down)
	_, eye := b.Watch(a, Wants{})
	c := r.Join("c", wire(20*ms), wire(20*ms))
	_, other := c.Watch(a, Wants{})
	const narrow, wide, end = 20 * time.Second, 40 * time.Second, 55 * time.Second
	steps(r, b, step{narrow, 300_000}, step{wide, 3_000_000})
	tr := r.Trace(b, eye)
	r.Run(end)
	keepTrace(t, tr)
	figure(t, "a lower layer, s", orNever(settled(tr, narrow, wide, func(s Sample) bool { return s.Layer >= 0 && s.Layer < 2 })), "<=", 1)
	figure(t, "the top one again, s", orNever(settled(tr, wide, end, shows(2))), "<=", 10)
	freezes, longest := eye.Eye.Frozen(narrow, end)
	figure(t, "longest without a picture, s", longest.Seconds(), "<=", 1)
	n, worst := other.Eye.Frozen(narrow, end)
	figure(t, "freezes of the other", float64(n), "<=", 0)
	t.Logf("switches %v; freezes %d; the other's %v", switches(eye), freezes, worst)
}
