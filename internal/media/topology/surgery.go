package topology

import (
	"encoding/binary"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
	"parley/internal/media/stream"
)

// fold is the last report of one member on an outer leg's source.
type fold struct {
	rtcp.Block
	at clock.Time
}

// asymReport is the interval of the mixer's own reports; random by half.
const asymReport = 5 * time.Second

// HandleFeedback implements [graph.Element].
func (a *Asymmetric) HandleFeedback(now clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	if o := a.outer(leg); o != nil {
		a.fromOuter(now, o, b, out)
		return
	}
	if slices.Contains(a.group, leg) {
		a.fromGroup(now, leg, b, out)
	}
}

// fromOuter passes SR, SDES and BYE to the group, with reports on what the
// group sent in place of those on the mix, which is nobody's there.
func (a *Asymmetric) fromOuter(now clock.Time, o *outerLeg, b []byte, out *graph.Batch) {
	var c []byte
	var p rtcp.Packet
	it := rtcp.Parse(b)
	for rest := b; it.Next(&p); {
		raw := rest[:4+4*int(binary.BigEndian.Uint16(rest[2:]))]
		rest = rest[len(raw):]
		s, ok := p.Sender()
		switch {
		case !ok:
		case p.Type == rtcp.TypeSR:
			if info, ok := p.SenderInfo(); ok {
				c = rtcp.AppendSR(c, s, info, o.blocks(now))
			}
		case p.Type == rtcp.TypeRR:
			c = rtcp.AppendRR(c, s, o.blocks(now))
		case p.Type == rtcp.TypeSDES || p.Type == rtcp.TypeBYE:
			c = append(c, raw...)
		}
	}
	if it.Bad() || len(c) == 0 {
		return
	}
	for _, l := range a.group {
		a.out.control(now, l, c, out)
	}
}

// blocks reports on the members as we received them.
func (o *outerLeg) blocks(now clock.Time) (list []rtcp.Block) {
	for _, r := range o.heard {
		if k, ok := r.Block(now); ok && len(list) < rtcp.MaxBlocks {
			list = append(list, k)
		}
	}
	return list
}

// fromGroup relays within the group, and keeps for the outer legs what their
// reports are made of.
func (a *Asymmetric) fromGroup(now clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	var p rtcp.Packet
	it := rtcp.Parse(b)
	for it.Next(&p) {
		from, ok := p.Sender()
		for _, o := range a.outers {
			if !ok {
				break
			}
			o.learn(now, from, &p)
			if m, is := target(&p); is && m == o.source && o.source != 0 && now >= o.ask {
				o.ask = now.Add(requestEvery)
				if !a.out.keyframe(now, o.Track) {
					a.out.control(now, o.Leg, rtcp.AppendPLI(o.lead(nil), o.SSRC, m), out)
				}
			}
		}
	}
	if it.Bad() {
		return
	}
	for _, l := range a.group {
		if l != leg {
			a.out.control(now, l, b, out)
		}
	}
}

// target returns the stream that a keyframe is asked of.
func target(p *rtcp.Packet) (ssrc uint32, ok bool) {
	switch {
	case p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtPLI:
		return p.Media()
	case p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtFIR && p.FIRs() > 0:
		ssrc, _ = p.FIR(0)
		return ssrc, true
	}
	return 0, false
}

// learn takes a member's packet: its clock for LSR, its blocks for the fold.
func (o *outerLeg) learn(now clock.Time, from uint32, p *rtcp.Packet) {
	if info, ok := p.SenderInfo(); ok {
		if r := o.account(from); r != nil {
			r.HandleSR(now, info)
		}
	}
	for i := range int(p.Count) {
		if ssrc, ok := p.ByeSSRC(i); ok {
			o.heard = slices.DeleteFunc(o.heard, func(r *stream.Receiver) bool { return r.SSRC == ssrc })
			delete(o.folds, ssrc)
		}
	}
	for i := range p.Blocks() {
		if k := p.Block(i); k.SSRC == o.source && o.source != 0 && (o.folds[from] != nil || len(o.folds) < relaySSRCs) {
			o.folds[from] = &fold{k, now}
		}
	}
}

// folded is the group's reports on the leg as one: highest number the lowest of
// all, loss the worst; the round trip that of the one furthest behind.
func (o *outerLeg) folded(now clock.Time) (list []rtcp.Block) {
	var worst *fold
	var k rtcp.Block
	for from, f := range o.folds {
		if now.Sub(f.at) > memberGone {
			delete(o.folds, from)
			continue
		}
		k.Fraction, k.Lost, k.Jitter = max(k.Fraction, f.Fraction), max(k.Lost, f.Lost), max(k.Jitter, f.Jitter)
		if worst == nil || int32(f.Highest-worst.Highest) < 0 {
			worst = f
		}
	}
	if worst == nil {
		return nil
	}
	k.SSRC, k.Highest, k.LSR, k.DLSR = o.source, worst.Highest, worst.LSR, worst.DLSR
	if k.LSR != 0 {
		k.DLSR += uint32(int64(now.Sub(worst.at)) * 65536 / int64(time.Second))
	}
	return append(list, k)
}

func (o *outerLeg) lead(k []rtcp.Block) []byte {
	return rtcp.AppendSDES(rtcp.AppendRR(nil, o.SSRC, k), o.SSRC, o.CNAME)
}

func (a *Asymmetric) plan(now clock.Time, o *outerLeg) {
	f := 0.5 + float64(a.env.Random32())/(1<<32)
	o.due = now.Add(time.Duration(float64(asymReport) * f / 1.21828))
}

// Tick implements [graph.Element]: the mixer's reports, to the outer legs only.
func (a *Asymmetric) Tick(now clock.Time, out *graph.Batch) (next clock.Time) {
	for _, o := range a.outers {
		if o.due == 0 {
			a.plan(now, o)
		}
		if now >= o.due {
			b := o.lead(o.folded(now))
			if o.packets > 0 {
				s := rtcp.SenderInfo{NTP: a.env.Anchor.NTP(now), RTP: o.ts + stream.Ticks(now.Sub(o.at), o.Clock), Packets: o.packets, Octets: o.octets}
				b = rtcp.AppendSDES(rtcp.AppendSR(nil, o.SSRC, s, o.folded(now)), o.SSRC, o.CNAME)
			}
			a.out.control(now, o.Leg, b, out)
			a.plan(now, o)
		}
		next = clock.Earliest(next, o.due)
	}
	return next
}
