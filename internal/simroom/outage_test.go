package simroom

import (
	"testing"
	"time"
)

// TestQ4_Outage: all packets of one receiver are dropped for ten seconds.
func TestQ4_Outage(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(20*ms), wire(20*ms))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	b := r.Join("b", wire(25*ms), wire(25*ms))
	ear, eye := b.Watch(a, Wants{})
	others := []*Peer{r.Join("c", wire(25*ms), wire(25*ms)), r.Join("d", wire(25*ms), wire(25*ms))}
	for _, p := range others {
		p.Watch(a, Wants{})
	}
	const down, back = 15 * time.Second, 25 * time.Second
	r.At(down, func() {
		up, dn := b.Up.Config(), b.Down.Config()
		up.Down, dn.Down = true, true
		b.Up.Set(up)
		b.Down.Set(dn)
	})
	asked := 0
	r.At(back, func() {
		up, dn := b.Up.Config(), b.Down.Config()
		up.Down, dn.Down = false, false
		b.Up.Set(up)
		b.Down.Set(dn)
		asked = len(a.Pub.Requests)
	})
	var heard time.Duration
	r.At(back, func() {
		was := ear.Ear.Packets
		var look func()
		look = func() {
			if ear.Ear.Packets > was && heard == 0 {
				heard = r.Now() - back
			}
			if heard == 0 {
				r.At(r.Now()+10*ms, look)
			}
		}
		look()
	})
	tr := r.Trace(b, eye)
	r.Run(45 * time.Second)
	keepTrace(t, tr)
	shown := eye.Eye.Since(back)
	if len(shown) == 0 || heard == 0 {
		t.Fatalf("nothing came back: %d pictures, audio %v", len(shown), heard)
	}
	figure(t, "audio after return, ms", float64(heard)/1e6, "<=", 1000)
	figure(t, "video after return, ms", float64(shown[0].At.Sub(start)-back)/1e6, "<=", 2000)
	figure(t, "keyframe requests", float64(len(a.Pub.Requests)-asked), "<=", 1)
	for _, p := range others {
		for _, v := range p.Views {
			untouched(t, v)
		}
	}
	t.Logf("requests at the publisher: %v", a.Pub.Requests)
}

// untouched wants a view on a clean path to have lost nothing at all.
func untouched(t *testing.T, v *View) {
	t.Helper()
	if v.Of.Pub.Audio != nil && v.Ear.have != nil {
		if share, _ := v.Ear.Concealed(0, 0); share != 0 {
			t.Errorf("%s lost %.3f %% of audio", v.peer.Name, 100*share)
		}
	}
	if v.rtx != 0 && (len(v.Eye.Freezes) > 0 || v.Eye.Skipped > 0 || v.Eye.PLIs > 0) {
		t.Errorf("%s: freezes %v, %d pictures skipped, %d PLIs", v.peer.Name, v.Eye.Freezes, v.Eye.Skipped, v.Eye.PLIs)
	}
}

// TestQ9_Reordering: jitter, reordering and duplicates are no loss.
func TestQ9_Reordering(t *testing.T) {
	for _, side := range []string{"receiver", "publisher"} {
		t.Run(side, func(t *testing.T) {
			r := newRoom(t)
			bad := wire(50 * ms)
			bad.Jitter, bad.Reorder, bad.ReorderBy, bad.Duplicate = 30*ms, 0.02, 20*ms, 0.01
			up, down := wire(10*ms), bad
			if side == "publisher" {
				up, down = bad, wire(10*ms)
			}
			a := r.Join("a", up, up)
			a.Publish(Media{Speaks: true, Layers: Simulcast})
			b := r.Join("b", down, down)
			_, eye := b.Watch(a, Wants{})
			took := length(30*time.Second, 300*time.Second)
			keys := 0
			r.At(10*time.Second, func() { keys = a.Pub.Video.Keys })
			r.Run(took)
			if side == "publisher" {
				figure(t, "NACKed of sent, %", 100*float64(a.Pub.Nacked)/float64(a.Up.RTP), "<=", 1)
				figure(t, "duplicates forwarded", float64(b.Down.Twice), "<=", 0)
			} else {
				// The receiver model asks at once, as browsers do; the server may not
				// resend more than it is asked for.
				t.Logf("the receiver asked for %d of %d, got %d again", b.Asked.NACKs, b.Down.RTP, b.Down.RTX)
				figure(t, "sent twice by the server under one number", float64(b.Down.Twice), "<=", 0)
			}
			figure(t, "PLIs", float64(b.Asked.PLIs), "<=", 0)
			figure(t, "keyframes after 10 s", float64(a.Pub.Video.Keys-keys), "<=", float64(took/time.Minute))
			n, longest := eye.Eye.Frozen(5*time.Second, took)
			t.Logf("freezes %d, longest %v; pictures %d", n, longest, len(eye.Eye.Pictures))
		})
	}
}
