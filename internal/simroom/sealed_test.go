package simroom

import (
	"slices"
	"testing"
	"time"
)

// TestE1_SwitchesBlind: a receiver's link goes from 3 Mbit/s to 300 kbit/s and
// back, and one comes late, while payloads are encrypted end to end. The server
// does the same, to the packet, as with payloads that it could read: it goes by
// descriptors and by the bytes that VP8's framing leaves clear.
func TestE1_SwitchesBlind(t *testing.T) {
	const down, up, end = 15 * time.Second, 25 * time.Second, 45 * time.Second
	run := func(sealed bool) (early, late *View, pub *Publisher) {
		r := newRoom(t)
		a := r.Join("a", wire(10*ms), wire(10*ms))
		pub = a.Publish(Media{NoAudio: true, Layers: Simulcast, Sealed: sealed})
		b := r.Join("b", wire(20*ms), bottleneck(3_000_000))
		_, early = b.Watch(a, Wants{})
		steps(r, b, step{down, 300_000}, step{up, 3_000_000})
		c := r.Join("c", wire(20*ms), wire(20*ms))
		r.At(10*time.Second, func() { _, late = c.Watch(a, Wants{}) })
		r.Run(end)
		return early, late, pub
	}
	open, openLate, openPub := run(false)
	blind, blindLate, pub := run(true)
	for name, v := range map[string][2]*View{"squeezed": {open, blind}, "late": {openLate, blindLate}} {
		o, s := v[0].Eye, v[1].Eye
		t.Logf("%s: %d pictures, %d keyframes, %d skipped, %d freezes, switches %v", name, len(s.Pictures), s.Keys, s.Skipped, len(s.Freezes), s.Switches)
		if !slices.Equal(o.Pictures, s.Pictures) || !slices.Equal(o.Switches, s.Switches) {
			t.Errorf("%s: other pictures than in the clear: %d and %d, switches %v and %v", name, len(o.Pictures), len(s.Pictures), o.Switches, s.Switches)
		}
	}
	if openPub.Video.Keys != pub.Video.Keys || len(openPub.Requests) != len(pub.Requests) {
		t.Errorf("keyframes made: %d and %d, asked for: %d and %d", openPub.Video.Keys, pub.Video.Keys, len(openPub.Requests), len(pub.Requests))
	}
	var lower, higher bool
	for _, s := range blind.Eye.Switches {
		at := s.At.Sub(start)
		lower = lower || at > down && at < up && s.To == 0
		higher = higher || at > up && s.To > 0
	}
	if !lower || !higher {
		t.Errorf("the squeeze shows in no switch: %v", blind.Eye.Switches)
	}
	if first := blindLate.Eye.Pictures[0]; !first.Key || first.At.Sub(start) > 12*time.Second {
		t.Errorf("who came at 10 s: first picture at %v, keyframe %v", first.At.Sub(start), first.Key)
	}
}

// TestE1_SoundPassesBlind: sealed sound comes through whole, and nothing is
// repeated for a lossy path: a browser's transform gets a RED payload as a whole.
func TestE1_SoundPassesBlind(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(10*ms), wire(10*ms))
	a.Publish(Media{Speaks: true, Sealed: true})
	b := r.Join("b", wire(20*ms), wire(20*ms))
	ear, _ := b.Watch(a, Wants{})
	r.Run(10 * time.Second)
	if share, n := ear.Ear.Concealed(0, 0); share != 0 || n < 450 {
		t.Errorf("%d packets, %.4f concealed", n, share)
	}
}
