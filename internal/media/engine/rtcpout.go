package engine

import (
	"cmp"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

const (
	// reportMin is the shortest regular interval: AVPF allows less than Tmin,
	// and audio-video sync at the receiver waits for the first reports.
	reportMin  = time.Second
	reportSoon = 200 * time.Millisecond
	reportIdle = 5 * time.Second // nothing to report: Tmin of RFC 3550
	// legShare is 5 % of an assumed 1.5 Mbit/s session, in bytes per second
	// (rule C3); reportSize is a compound's usual size.
	legShare   = 9375
	reportSize = 120
	// compoundMax keeps a compound within one datagram with SRTCP's trailer.
	compoundMax = 1100
)

// reportAt returns when the leg's next regular report is due, choosing an
// instant if none is: random in [0.5, 1.5] of the interval, compensated
// (RFC 3550, section 6.3.1).
func (e *Engine) reportAt(now clock.Time, l *leg) clock.Time {
	if l.reportDue == 0 {
		members := time.Duration(len(l.streams) + len(l.egress.Sends) + 2)
		td := max(cmp.Or(l.media.RTCPMin, reportMin), members*reportSize*time.Second/time.Duration(cmp.Or(l.media.RTCPRate, legShare)))
		if len(l.streams) == 0 && !l.sending() {
			td = reportIdle
		}
		f := 0.5 + float64(e.cfg.Random32())/(1<<32)
		l.reportDue = now.Add(time.Duration(float64(td) * f / 1.21828))
	}
	return l.reportDue
}

// sending reports whether the leg has been sent anything.
func (l *leg) sending() bool { return l.egress.Packets > 0 }

// reportSoonFor brings a leg's report forward.
func (e *Engine) reportSoonFor(now clock.Time, id graph.LegID) {
	l := e.leg(id)
	if l == nil {
		return
	}
	e.hasten(l, now.Add(reportSoon))
}

// hasten brings the next report forward, on a leg that was given an interval of
// its own not beyond what that allows.
func (e *Engine) hasten(l *leg, at clock.Time) {
	if min := l.media.RTCPMin; min != 0 && l.reported != 0 {
		at = max(at, l.reported.Add(min*2/5))
	}
	l.reportDue = clock.Earliest(l.reportDue, at)
	e.wake(l, l.reportDue)
}

// begin starts an early feedback compound: bare where reduced size was agreed
// (RFC 5506), else led by an empty RR and CNAME (rule C2).
func (e *Engine) begin(l *leg) []byte {
	b := e.rtcp[:0]
	if !l.media.RTCPRsize {
		b = rtcp.AppendRR(b, l.ssrc, nil)
		b = rtcp.AppendSDES(b, l.ssrc, l.media.CNAME)
	}
	return b
}

// emit sends the compound in e.rtcp.
func (e *Engine) emit(l *leg, out *Out) {
	if len(e.rtcp) == 0 || !l.egress.Ready {
		return
	}
	off, b := out.Batch.Grow(len(e.rtcp))
	copy(b, e.rtcp)
	out.Batch.RTCP(l.cfg.Leg, off, len(e.rtcp))
}

// bye says goodbye for SSRCs of ours, which are not used again on the leg.
func (e *Engine) bye(l *leg, ssrcs []uint32, out *Out) {
	e.ssrcs = ssrcs
	if len(ssrcs) == 0 {
		return
	}
	if l.bye == nil {
		l.bye = map[uint32]bool{}
	}
	for len(ssrcs) > 0 {
		n := min(len(ssrcs), rtcp.MaxBlocks)
		b := rtcp.AppendRR(e.rtcp[:0], l.ssrc, nil) // BYE never travels alone
		b = rtcp.AppendSDES(b, l.ssrc, l.media.CNAME)
		e.rtcp = rtcp.AppendBYE(b, ssrcs[:n]...)
		e.emit(l, out)
		for _, s := range ssrcs[:n] {
			if len(l.bye) < maxByes {
				l.bye[s] = true
			}
		}
		ssrcs = ssrcs[n:]
	}
}

// maxByes bounds the memory of spent SSRCs of a leg.
const maxByes = 4096

// sendFeedback writes what may not wait for the regular report and returns
// when there will be more.
func (e *Engine) sendFeedback(now clock.Time, l *leg, out *Out) (next clock.Time) {
	next = e.sendNACKs(now, l, out)
	for _, t := range l.tracks {
		if t.longing() == nil {
			continue
		}
		if now >= t.gate.next {
			e.askKeyframe(now, t, out)
		}
		if t.longing() != nil && t.gate.next > now {
			next = clock.Earliest(next, t.gate.next)
		}
	}
	next = clock.Earliest(next, e.demand(now, l, out))
	if due := l.twcc.Due(); l.useTWCC && due != 0 {
		if due <= now {
			e.sendTWCC(l, out)
			due = l.twcc.Due()
		}
		next = clock.Earliest(next, due)
	}
	if due := l.marks.Due(); l.useCCFB && !l.useTWCC && due != 0 {
		if due <= now {
			e.sendCCFB(now, l, out)
			due = l.marks.Due()
		}
		next = clock.Earliest(next, due)
	}
	if due := l.est.Due(); !l.useTWCC && !l.useCCFB && l.useREMB && due != 0 && !l.passesAny() {
		if due <= now {
			e.sendREMB(now, l, out)
			due = l.est.Due()
		}
		next = clock.Earliest(next, due)
	}
	return next
}

func (e *Engine) sendNACKs(now clock.Time, l *leg, out *Out) (next clock.Time) {
	for _, st := range l.streams {
		if st.rtx || st.track == nil || l.quiet(st) {
			continue
		}
		e.seqs = st.recv.Nack.Collect(now, l.egress.RTT, e.seqs[:0])
		next = clock.Earliest(next, st.recv.Nack.Due())
		if len(e.seqs) > 0 {
			e.rtcp = rtcp.AppendNACK(e.begin(l), l.ssrc, st.recv.SSRC, e.seqs)
			l.nacks += uint64(len(e.seqs))
			st.nacks += uint64(len(e.seqs))
			e.emit(l, out)
		}
	}
	return next
}

// sendTWCC reports arrivals; the media source is any stream of the peer.
func (e *Engine) sendTWCC(l *leg, out *Out) {
	media := uint32(0)
	if len(l.streams) > 0 {
		media = l.streams[0].recv.SSRC
	}
	for more := true; more; {
		b := e.begin(l)
		n := len(b)
		e.rtcp, more = l.twcc.Append(b, l.ssrc, media)
		if len(e.rtcp) > n {
			e.emit(l, out)
		}
	}
}

// sendCCFB reports arrivals by RFC 8888.
func (e *Engine) sendCCFB(now clock.Time, l *leg, out *Out) {
	for more := true; more; {
		b := e.begin(l)
		n := len(b)
		e.rtcp, more = l.marks.Append(b, l.ssrc, now, e.cfg.Anchor.NTP(now))
		if len(e.rtcp) > n {
			e.emit(l, out)
		}
	}
}

func (e *Engine) sendREMB(now clock.Time, l *leg, out *Out) {
	var expected, got uint64
	e.ssrcs = e.ssrcs[:0]
	for _, st := range l.streams {
		if st.rtx {
			continue
		}
		x, g := st.recv.Counts()
		expected, got = expected+x, got+g
		e.ssrcs = append(e.ssrcs, st.recv.SSRC)
	}
	e.rtcp = rtcp.AppendREMB(e.begin(l), l.ssrc, l.est.Update(now, expected, got), e.ssrcs)
	e.emit(l, out)
}

// report sends the regular compounds of a leg: an SR and CNAME for each stream
// we have sent on it, and our reporter's RR about what the peer sends.
func (e *Engine) report(now clock.Time, l *leg, out *Out) {
	l.rates(now, &e.totals)
	l.reported = now
	b := e.rtcp[:0]
	flush := func() {
		e.rtcp = b
		e.emit(l, out)
		b = e.rtcp[:0]
	}
	spill := func() { // a compound goes on: the next begins as one, too (rule C2)
		flush()
		b = rtcp.AppendSDES(rtcp.AppendRR(b, l.ssrc, nil), l.ssrc, l.media.CNAME)
	}
	for _, p := range l.egress.Sends {
		s, ok := p.SenderInfo(now)
		if !ok || p.Dead {
			continue
		}
		b = rtcp.AppendSR(b, p.SSRC, s, nil)
		b = rtcp.AppendSDES(b, p.SSRC, p.CNAME)
		e.contributors(p, func(c plane.Contributor) {
			if b = rtcp.AppendSDES(b, c.SrcID, c.CNAME); len(b) > compoundMax {
				spill()
			}
		})
		if len(b) > compoundMax {
			flush()
		}
	}
	var all [maxStreams]rtcp.Block
	blocks := all[:0]
	for _, st := range l.streams {
		if blk, ok := st.recv.Block(now); ok && !l.quiet(st) {
			blocks = append(blocks, blk)
		}
	}
	for first := !l.passesAny(); len(blocks) > 0 || (first && len(b) == 0); first = false {
		n := min(len(blocks), rtcp.MaxBlocks)
		if len(b) > 0 && len(b)+n*24 > compoundMax {
			flush()
		}
		b = rtcp.AppendRR(b, l.ssrc, blocks[:n])
		b = rtcp.AppendSDES(b, l.ssrc, l.media.CNAME)
		blocks = blocks[n:]
	}
	flush()
}

// rates updates the figures of the last second or so.
func (l *leg) rates(now clock.Time, sum *Totals) {
	if dt := now.Sub(l.priorAt).Seconds(); l.priorAt != 0 && dt > 0 {
		l.goodput = uint64(float64(l.egress.Octets-l.priorOut) * 8 / dt)
		l.rateIn = uint64(float64(l.octets-l.prior) * 8 / dt)
	}
	l.priorAt, l.priorOut, l.prior = now, l.egress.Octets, l.octets
	l.gauge(now, sum)
}
