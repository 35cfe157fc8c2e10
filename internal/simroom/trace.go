package simroom

import "time"

// Sample is the state of a leg at an instant.
type Sample struct {
	At                            time.Duration
	Capacity, Estimate            float64 // bit/s, 0: none
	Sent, Video, Audio, Repair    float64 // bit/s in the last interval, on the downlink
	Uplink                        float64
	Wait                          time.Duration
	Layer, TID                    int // shown, -1: none
	FPS                           float64
	Frozen                        bool
	Lost, Overflowed, UpKey, Asks int // since the last sample
}

// Trace samples what one view and its leg do.
type Trace struct {
	Samples []Sample
	peer    *Peer
	view    *View
	freezes int
	prev    struct {
		bytes, rtx, video, up  uint64
		lost, over, asks, pics int
	}
}

const sampleEvery = 100 * time.Millisecond

// Trace samples ten times a second from now on.
func (r *Room) Trace(p *Peer, v *View) *Trace {
	t := &Trace{peer: p, view: v}
	p.Down.KeepWaits = true
	r.Every(sampleEvery, func() { t.sample(r.Now()) })
	return t
}

func (t *Trace) sample(now time.Duration) {
	d, st := t.peer.Down, t.peer.Down.Stats()
	per := func(n, was uint64) float64 { return float64(n-was) * 8 / sampleEvery.Seconds() }
	s := Sample{At: now, Capacity: float64(d.Config().Rate), Estimate: float64(t.peer.Stats().EstimateOut), Layer: -1, TID: -1,
		Sent: per(d.Bytes, t.prev.bytes), Repair: per(d.RTXBytes, t.prev.rtx), Video: per(d.VideoBytes, t.prev.video),
		Lost: int(st.Lost) - t.prev.lost, Overflowed: int(st.Overflowed) - t.prev.over, Asks: t.peer.Asked.NACKs - t.prev.asks,
		Wait: d.Waiting(start.Add(now))}
	if up := t.view.Of; up != nil {
		s.Uplink = per(up.Up.Bytes, t.prev.up)
		t.prev.up = up.Up.Bytes
	}
	if k := len(t.view.Eye.Pictures); k > 0 {
		s.FPS = float64(k-t.prev.pics) / sampleEvery.Seconds()
		t.prev.pics = k
		if last := t.view.Eye.Pictures[k-1]; start.Add(now).Sub(last.At) < 500*time.Millisecond {
			s.Layer, s.TID = int(last.Layer), int(last.TID)
		}
	}
	s.Frozen = len(t.view.Eye.Freezes) > t.freezes
	t.freezes = len(t.view.Eye.Freezes)
	t.prev.bytes, t.prev.rtx, t.prev.video = d.Bytes, d.RTXBytes, d.VideoBytes
	t.prev.lost, t.prev.over, t.prev.asks = int(st.Lost), int(st.Overflowed), t.peer.Asked.NACKs
	t.Samples = append(t.Samples, s)
}

// During returns the samples of a span.
func (t *Trace) During(from, to time.Duration) (out []Sample) {
	for _, s := range t.Samples {
		if s.At >= from && s.At < to {
			out = append(out, s)
		}
	}
	return out
}
