package mcu

import (
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

// publish makes an output known to the plane, or changes one.
func (l *link) publish(o plane.MixOutput) (Output, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o.Codec = own(o.Codec, o.Kind)
	if x := l.outs[o.Track]; x != nil {
		if x.o.Codec == o.Codec && x.o.Only == o.Only && x.o.Kind == o.Kind {
			x.o.MixOutput = o
			return x.o, nil
		}
		l.withdrawLocked(x)
	}
	x := &outlet{o: Output{MixOutput: o, Levels: ExtMixLevels}}
	x.o.outlet = x
	t := plane.Track{Conf: l.r.conf, Track: o.Track, Kind: o.Kind, Source: "mix", CNAME: l.room.CNAME, Mixed: true}
	if o.Only != "" {
		src := l.sources[o.Only]
		if src == nil {
			return Output{}, fault.New(404, "no-such-track", "there is nothing of this name to translate")
		}
		// RFC 7667, section 3.2.1.3: the translator keeps the SSRC and the CNAME.
		x.o.SSRC, x.o.Levels = src.SrcID, 0
		t.Source, t.CNAME, t.SrcID, t.Mixed, t.Keep = src.Source, src.CNAME, src.SrcID, src.Mixed, true
	} else {
		x.o.SSRC = l.ssrcLocked()
		t.SrcID = x.o.SSRC
	}
	ln, err := l.laneLocked(func(c *lane) bool { return c.outs < laneMax && !l.carriesLocked(c, x.o.SSRC) })
	if err != nil {
		return Output{}, err
	}
	sec := plane.Section{Kind: o.Kind, Recv: &plane.Recv{Codecs: []plane.Codec{o.Codec}, Layers: []plane.Layer{{SSRC: x.o.SSRC}}}}
	if o.Kind == plane.Audio {
		sec.Exts[plane.ExtMixerLevel] = ExtMixLevels
	}
	x.lane, x.sec = ln, ln.put(sec)
	ln.outs++
	l.configureLocked()
	t.Conn, t.MID = ln.conn, ln.secs[x.sec].MID
	if err := l.s.cfg.Plane.Publish(t); err != nil {
		ln.take(x.sec)
		ln.outs--
		return Output{}, err
	}
	l.outs[o.Track] = x
	return x.o, nil
}

// carriesLocked tells whether a lane has an SSRC already: two translations of one
// source need two connections.
func (l *link) carriesLocked(c *lane, ssrc uint32) bool {
	for _, x := range l.outs {
		if x.lane == c && x.o.SSRC == ssrc {
			return true
		}
	}
	return false
}

func (l *link) unpublish(t ids.Track) (plane.Kind, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.outs[t]
	if x == nil {
		return 0, false
	}
	l.withdrawLocked(x)
	return x.o.Kind, true
}

func (l *link) withdrawLocked(x *outlet) {
	l.s.cfg.Plane.Unpublish(l.r.conf, x.o.Track)
	x.gone = true
	delete(l.outs, x.o.Track)
	x.lane.take(x.sec)
	x.lane.outs--
}

func (l *link) has(t ids.Track) bool {
	_, ok := l.kindOf(t)
	return ok
}

func (l *link) kindOf(t ids.Track) (plane.Kind, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.outs[t]; x != nil {
		return x.o.Kind, true
	}
	return 0, false
}

// impatient tells whether packets are wanted before the next slot: where sound
// is translated.
func (l *link) impatient() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.outs {
		if x.o.Kind == plane.Audio && x.o.Only != "" {
			return true
		}
	}
	return false
}

// idle tells whether there is nothing to make.
func (l *link) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.outs) == 0
}

func (l *link) counts() (audio, video int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.outs {
		if x.o.Kind == plane.Audio {
			audio++
		} else {
			video++
		}
	}
	return audio, video
}

// named is an output by kind and track.
type named struct {
	kind  plane.Kind
	track ids.Track
}

// byOutput lists the outputs with an SSRC: several translations of one source
// share theirs.
func (l *link) byOutput(ssrc uint32) (list []named) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t, x := range l.outs {
		if x.o.SSRC == ssrc {
			list = append(list, named{x.o.Kind, t})
		}
	}
	return list
}

// note counts a packet for reports.
func (x *outlet) note(b []byte, at clock.Time) {
	var h rtp.Header
	if rtp.Parse(b, &h) == rtp.OK {
		x.packets++
		x.octets += uint32(h.PayloadEnd - h.PayloadOff)
		x.ts, x.at = h.TS, at
	}
}

// emit sends at once.
func (l *link) emit(t ids.Track, at clock.Time, packets [][]byte) {
	l.mu.Lock()
	x := l.outs[t]
	if x == nil {
		l.mu.Unlock()
		return
	}
	for _, b := range packets {
		x.note(b, at)
	}
	l.mu.Unlock()
	x.lane.inj.Inject(packets)
	l.s.count.packetsOut.Add(uint64(len(packets)))
}

// gather keeps a packet until the slot is made; on the room's goroutine.
func (l *link) gather(x *outlet, at clock.Time, b []byte) {
	g := &l.batch
	off := len(g.bytes)
	g.bytes = append(g.bytes, b...)
	g.list = append(g.list, made{x, off, len(g.bytes), at})
}

// flush sends a slot's packets lane by lane, one call each.
func (l *link) flush() {
	g := &l.batch
	if len(g.list) == 0 {
		return
	}
	l.mu.Lock()
	for _, p := range g.list {
		if !p.x.gone {
			b := g.bytes[p.off:p.end]
			p.x.note(b, p.at)
			p.x.lane.pending = append(p.x.lane.pending, b)
		}
	}
	lanes := append([]*lane(nil), l.lanes...)
	l.mu.Unlock()
	for _, ln := range lanes {
		if len(ln.pending) > 0 {
			ln.inj.Inject(ln.pending)
			ln.pending = ln.pending[:0]
		}
	}
	l.s.count.packetsOut.Add(uint64(len(g.list)))
	g.bytes, g.list = g.bytes[:0], g.list[:0]
}

// compoundMax keeps a compound within a datagram.
const compoundMax = 1100

// report sends a sender report for each output and takes its stats.
func (l *link) report(now clock.Time) {
	l.mu.Lock()
	per := map[*lane][][]byte{}
	for _, x := range l.outs {
		if x.packets == 0 {
			continue
		}
		list := per[x.lane]
		if n := len(list); n == 0 || len(list[n-1]) > compoundMax {
			list = append(list, nil)
		}
		last := &list[len(list)-1]
		*last = rtcp.AppendSR(*last, x.o.SSRC, x.sender(now, l.s.cfg.Anchor), nil)
		*last = rtcp.AppendSDES(*last, x.o.SSRC, l.cnameLocked(x))
		per[x.lane] = list
	}
	l.mu.Unlock()
	for ln, list := range per {
		ln.inj.Inject(list)
	}
}

func (l *link) cnameLocked(x *outlet) string {
	if s := l.sources[x.o.Only]; s != nil {
		return s.CNAME
	}
	return l.room.CNAME
}

// sender is the RTP clock now, on the line through the last packet (C9, MIX-5).
func (x *outlet) sender(now clock.Time, a clock.Anchor) rtcp.SenderInfo {
	rate := int64(x.o.Codec.ClockRate)
	ticks := int64(now.Sub(x.at)) / 1000 * rate / 1_000_000
	return rtcp.SenderInfo{NTP: a.NTP(now), RTP: x.ts + uint32(ticks), Packets: x.packets, Octets: x.octets}
}

// snapshot keeps stats where any goroutine may read them.
func (l *link) snapshot(k plane.Kind, of func(ids.Track) (plane.MixStats, bool)) {
	l.mu.Lock()
	list := make([]ids.Track, 0, len(l.outs))
	for t, x := range l.outs {
		if x.o.Kind == k {
			list = append(list, t)
		}
	}
	l.mu.Unlock()
	for _, t := range list {
		s, ok := of(t)
		l.mu.Lock()
		if x := l.outs[t]; x != nil {
			x.stats, x.known = s, ok
		}
		l.mu.Unlock()
	}
}

func (l *link) stats(t ids.Track) (plane.MixStats, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.outs[t]; x != nil {
		return x.stats, x.known
	}
	return plane.MixStats{}, false
}

func appendPLI(ssrc uint32) []byte { return rtcp.AppendPLI(nil, 0, ssrc) }
