package topology

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
)

const (
	cloudKbps    = 1500                   // session bandwidth where none was told
	cloudReport  = 120                    // bytes of a usual compound
	cloudSoon    = 200 * time.Millisecond // an SR for a stream that has just switched
	cloudApart   = 2 * time.Second        // early reports of legs that know no AVPF
	cloudBye     = 31
	requestEvery = 500 * time.Millisecond
	compoundSize = 1100 // beyond it a new compound begins
)

// RequestKeyframe implements [graph.Upstream] for the projections: a request of
// a switch is a command (FIR), one for a loss is not (PLI).
func (c *cloud) RequestKeyframe(_ clock.Time, t graph.TrackID, _ uint8) {
	x := c.input(t)
	if x == nil {
		return
	}
	x.want = true
	if c.asking && x.fir && !x.open {
		x.open = true
		x.seq++
	}
}

// ask sends the requests that are due and returns when there will be more.
func (c *cloud) ask(now clock.Time, out *graph.Batch) (next clock.Time) {
	for _, x := range c.inputs {
		p := c.party(x.Leg)
		if !x.want || p == nil {
			continue
		}
		if now < x.next {
			next = clock.Earliest(next, x.next)
			continue
		}
		x.want = false
		b := p.lead()
		switch {
		case x.open:
			b = rtcp.AppendFIR(b, p.SSRC, x.SSRC, x.seq)
		case x.pli:
			b = rtcp.AppendPLI(b, p.SSRC, x.SSRC)
		case x.fir:
			x.open = true
			x.seq++
			b = rtcp.AppendFIR(b, p.SSRC, x.SSRC, x.seq)
		default:
			continue // plain RTP: its next keyframe has to be waited for
		}
		compound(out, p.Leg, b)
		x.next = now.Add(max(requestEvery, p.egress.RTT))
	}
	return next
}

// lead begins an early compound (rule C2).
func (p *party) lead() []byte {
	if p.Rsize {
		return nil
	}
	return rtcp.AppendSDES(rtcp.AppendRR(nil, p.SSRC, nil), p.SSRC, p.CNAME)
}

func (p *party) bye(out *graph.Batch, ssrcs ...uint32) {
	b := rtcp.AppendSDES(rtcp.AppendRR(nil, p.SSRC, nil), p.SSRC, p.CNAME)
	compound(out, p.Leg, rtcp.AppendBYE(b, ssrcs[:min(len(ssrcs), cloudBye)]...))
}

// plan chooses the next report of a leg by its own members and bandwidth alone
// (rule C3).
func (c *cloud) plan(now clock.Time, p *party) {
	kbps, members := max(p.Kbps, 1), time.Duration(len(p.slots)+2)
	if p.Kbps == 0 {
		kbps = cloudKbps
	}
	for _, x := range c.inputs {
		if x.Leg == p.Leg {
			members++
		}
	}
	least := min(5*time.Second, max(time.Second, 360*time.Second/time.Duration(kbps)))
	td := max(least, members*cloudReport*8*time.Second/time.Duration(kbps*50))
	f := 0.5 + float64(c.env.Random32())/(1<<32)
	p.due = now.Add(time.Duration(float64(td) * f / 1.21828))
}

func (c *cloud) reportSoon(now clock.Time, leg graph.LegID) {
	if p := c.party(leg); p != nil {
		soon := now.Add(cloudSoon)
		if c.anonymous && p.last != 0 {
			soon = max(soon, p.last.Add(cloudApart))
		}
		p.due = clock.Earliest(p.due, soon)
	}
}

// report sends SR and CNAME of each slot, our RR about what the leg sends, and
// on behalf of the sources shown their CNAMEs (RFC 3550, section 7.3).
func (c *cloud) report(now clock.Time, p *party, out *graph.Batch) {
	var b []byte
	for _, s := range p.slots {
		if i, ok := s.proj.SenderInfo(now); ok {
			b = rtcp.AppendSDES(rtcp.AppendSR(b, s.proj.SSRC, i, nil), s.proj.SSRC, p.CNAME)
		}
		if src := s.proj.Source(); src != nil && src.Track.SrcID != 0 && len(b) > 0 {
			b = rtcp.AppendSDES(b, src.Track.SrcID, src.Track.CNAME)
		}
		if len(b) > compoundSize {
			compound(out, p.Leg, b)
			b = b[:0]
		}
	}
	var blocks []rtcp.Block
	for _, x := range c.inputs {
		if x.Leg == p.Leg && len(blocks) < rtcp.MaxBlocks {
			if k, ok := x.recv.Block(now); ok {
				blocks = append(blocks, k)
			}
		}
	}
	b = rtcp.AppendRR(b, p.SSRC, blocks)
	compound(out, p.Leg, rtcp.AppendSDES(b, p.SSRC, p.CNAME))
	p.last = now
	c.plan(now, p)
}

// Tick implements [graph.Element].
func (c *cloud) Tick(now clock.Time, out *graph.Batch) clock.Time {
	next := clock.Time(0)
	if now >= c.reviewAt {
		c.reviewAt = now.Add(review)
		for _, p := range c.parties {
			for _, s := range p.slots {
				c.limit(now, s)
				s.proj.Review(now)
			}
		}
	}
	for _, p := range c.parties {
		if now >= p.due {
			c.report(now, p, out)
		}
		next = clock.Earliest(next, p.due)
	}
	if next = clock.Earliest(next, c.ask(now, out)); len(c.inputs) > 0 && len(c.parties) > 0 {
		next = clock.Earliest(next, c.reviewAt)
	}
	return next
}

// limit holds a slot back while its source is faster than the receiver asked
// for: there is no encoder here to slow down, and others may want the rate.
func (c *cloud) limit(now clock.Time, s *slot) {
	if src := s.proj.Source(); src != nil && s.limit != 0 {
		if x := c.input(src.ID); x != nil {
			s.proj.Pause(now, x.rate > s.limit)
		}
	}
}
