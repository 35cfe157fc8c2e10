package engine

import (
	"sync/atomic"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
)

// Flush implements [API].
func (e *Engine) Flush(now clock.Time, out *Out) {
	for _, c := range e.dirty {
		e.flushConf(now, c, out)
		e.tidy(c)
	}
	e.dirty = e.dirty[:0]
	e.settle(now, out)
}

// flushConf fans out what was gathered and gives the references back. The
// conference may stay in the dirty list; it is empty then.
func (e *Engine) flushConf(now clock.Time, c *conference, out *Out) {
	c.dirty = false
	e.flushPassed(now, c, out)
	if len(c.packets) == 0 {
		return
	}
	e.listen(now, c)
	for _, r := range c.order {
		r.HandleBatch(now, c.packets, &out.Batch)
	}
	e.crossOver(c, out)
	for i := range c.packets {
		c.packets[i].Buf.Release()
		c.packets[i].Buf = nil
	}
	c.packets = c.packets[:0]
	if c.due == 0 {
		e.wakeConf(c, now)
	}
}

// crossOver copies references of home tracks' packets to the shards that want them.
func (e *Engine) crossOver(c *conference, out *Out) {
	for i := range c.packets {
		p := &c.packets[i]
		t := e.track(p.Track)
		if t == nil || t.leg == nil {
			continue
		}
		for k := range t.remotes {
			r := &t.remotes[k]
			if int8(p.Layer) > r.want {
				continue
			}
			if r.open == nil {
				r.open = e.cross(t, r)
			}
			q := *p
			q.Buf.Retain()
			r.open.Packets = append(r.open.Packets, q)
		}
	}
	for _, t := range c.tracks {
		for k := range t.remotes {
			if x := t.remotes[k].open; x != nil {
				t.remotes[k].open = nil
				out.Cross = append(out.Cross, x)
			}
		}
	}
}

// cross starts a message about a track to a shard that mirrors it.
func (e *Engine) cross(t *track, r *remote) *Cross {
	x := e.pool.get()
	x.To, x.Track, x.Name, x.Info = r.shard, t.cfg.ID, t.cfg.Track.Track, t.src.Info
	for i := range x.Gen {
		x.Gen[i] = t.src.Layers[i].Gen
	}
	return x
}

// HandleCross implements [API].
func (e *Engine) HandleCross(now clock.Time, c *Cross, out *Out) {
	t := e.track(c.Track)
	switch {
	case t == nil || t.cfg.Track.Track != c.Name:
		e.drops.UnknownTrack += uint64(len(c.Packets))
	case t.leg != nil: // we are the home: feedback
		if c.Wants {
			e.remoteWants(now, t, c, out)
		}
		if c.Keyframe {
			e.RequestKeyframe(now, c.Track, c.Layer)
			e.settle(now, out)
		}
	default:
		e.mirror(now, t, c)
	}
	c.Release()
}

// mirror takes a home shard's packets into the history here and on to the
// receivers, so that repairs are served without crossing back.
func (e *Engine) mirror(now clock.Time, t *track, c *Cross) {
	if c.Info != nil {
		t.src.Info = c.Info
	}
	for i := range c.Gen {
		if t.src.Layers[i].Gen != c.Gen[i] {
			t.src.Restart(uint8(i))
			t.src.Layers[i].Gen = c.Gen[i]
		}
	}
	if c.Ref.At != 0 {
		t.src.Layers[c.Layer].Ref = c.Ref
	}
	if t.muted {
		return
	}
	for i := range c.Packets {
		p := &c.Packets[i]
		if t.pass > 0 {
			e.passOn(t, p)
		}
		p.Buf.Retain()
		e.gather(now, t, p)
	}
}

// RequestKeyframe implements graph.Upstream: the request is carried out at the
// end of the current call.
func (e *Engine) RequestKeyframe(_ clock.Time, id graph.TrackID, layer uint8) {
	for _, k := range e.keys {
		if k.track == id && k.layer == layer {
			return
		}
	}
	e.keys = append(e.keys, keyRequest{id, layer})
}

// remoteAsk is how often a shard passes keyframe requests on; the limiter that
// counts stands at the publisher.
const remoteAsk = 100 * time.Millisecond

// settle carries out what the call asked of publishers.
func (e *Engine) settle(now clock.Time, out *Out) {
	for i := 0; i < len(e.keys); i++ {
		k := e.keys[i]
		t := e.track(k.track)
		switch {
		case t == nil || k.layer >= stream.MaxLayers:
		case t.leg != nil:
			t.layers[k.layer].key.want = true
			if now >= t.gate.next {
				e.askKeyframe(now, t, out)
			} else {
				e.wake(t.leg, t.gate.next)
			}
		case t.asked == 0 || now.Sub(t.asked) >= remoteAsk:
			t.asked = now
			x := e.pool.get()
			x.To, x.Track, x.Name, x.Keyframe, x.Layer = t.cfg.Home, k.track, t.cfg.Track.Track, true, k.layer
			out.Cross = append(out.Cross, x)
		}
	}
	e.keys = e.keys[:0]
}

const (
	keyMin = time.Second
	keyMax = 2 * time.Second // under lasting demand: scenario Q13
)

// gate spaces the keyframe requests to one track, whoever asks and however: our
// receivers, other shards and nodes, and those whose own requests pass (SFM-4,
// A23). It is one for all encodings, since browsers answer a request for any of
// them with key frames of all.
type gate struct {
	next clock.Time // earliest instant of the next request
	gap  time.Duration
}

// sent notes a request. While they follow each other the gap doubles.
func (g *gate) sent(now clock.Time, rtt time.Duration) {
	if g.next == 0 || now.Sub(g.next) > keyMax {
		g.gap = keyMin
	} else {
		g.gap = min(2*g.gap, keyMax)
	}
	g.next = now.Add(max(g.gap, rtt))
}

// wish is what is known of requests for one encoding.
type wish struct {
	want bool
	at   clock.Time // asked for last
	seq  uint8      // FIR command number
	open bool       // it is not answered yet

	asks, keys uint64 // requests sent, key frames that came
}

func (k *wish) came() {
	k.want, k.open = false, false
	k.keys++
}

// longing returns the encoding to ask for, that which has waited longest; nil if
// none is wanted or can be asked for.
func (t *track) longing() (y *layer) {
	for i := range t.layers {
		x := &t.layers[i]
		if x.key.want && x.in != nil && (y == nil || x.key.at < y.key.at) {
			y = x
		}
	}
	return y
}

// speakers tells who talks, from the shard that is lowest among the homes of
// the conference's audio: one voice for all shards.
func (e *Engine) speakers(now clock.Time, c *conference, out *Out) {
	list, ok := c.det.Tick(now)
	if !ok {
		return
	}
	low := e.cfg.Shard
	for _, t := range c.tracks {
		if t.cfg.Track.Kind == plane.Audio && t.cfg.Remote {
			low = min(low, t.cfg.Home)
		}
	}
	if low == e.cfg.Shard {
		out.Events = append(out.Events, plane.Event{Conf: c.id, Kind: plane.SpeakersChanged, Speakers: append([]plane.Speaker(nil), list...)})
	}
}

// crossPool recycles messages: the engine that made one takes it, any shard
// gives it back.
type crossPool struct {
	mine     *Cross
	returned atomic.Pointer[Cross]
}

func (p *crossPool) get() *Cross {
	if p.mine == nil {
		p.mine = p.returned.Swap(nil)
	}
	x := p.mine
	if x == nil {
		return &Cross{home: p}
	}
	p.mine = x.next
	packets := x.Packets[:0]
	*x = Cross{home: p, Packets: packets}
	return x
}

// Release gives a message back, with the references it holds. HandleCross does
// so itself; a worker calls it for what it cannot deliver. Safe from any goroutine.
func (c *Cross) Release() {
	for i := range c.Packets {
		c.Packets[i].Buf.Release()
		c.Packets[i].Buf = nil
	}
	c.Packets = c.Packets[:0]
	if c.home == nil {
		return
	}
	for {
		c.next = c.home.returned.Load()
		if c.home.returned.CompareAndSwap(c.next, c) {
			return
		}
	}
}
