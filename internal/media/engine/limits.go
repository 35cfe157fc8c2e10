package engine

import (
	"math"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/stream"
)

// handleLimits takes TMMBR for streams of ours and answers with TMMBN (RFC 5104,
// section 4.2; rule C10). It acts on this leg alone; only who mixes for this
// leg is told, since only it can send less without cost to others.
func (e *Engine) handleLimits(now clock.Time, l *leg, p *rtcp.Packet, out *Out) {
	from, ok := p.Sender()
	for i := range p.Limits() {
		lim := p.Limit(i)
		pr := l.egress.Find(lim.SSRC)
		if pr == nil || !ok {
			continue
		}
		pr.Halt(now, lim.Bitrate == 0)
		l.poll = 0
		pr.Limit = lim.Bitrate
		e.rtcp = rtcp.AppendTMMBN(e.begin(l), lim.SSRC, []rtcp.Limit{{SSRC: from, Bitrate: lim.Bitrate, Overhead: lim.Overhead}})
		e.emit(l, out)
		if src := pr.Source(); src != nil {
			e.limitMixer(e.track(src.ID), out)
		}
	}
}

// limitMixer asks a mixer for no more than its fastest listener takes.
func (e *Engine) limitMixer(t *track, out *Out) {
	if t == nil || t.leg == nil || len(t.remotes) > 0 || (!t.cfg.Track.Mixed && !t.cfg.Track.Keep) || t.layers[0].in == nil {
		return
	}
	most := uint64(0)
	for _, l := range e.legs {
		if l == nil || l.conf != t.conf {
			continue
		}
		for _, s := range l.subs {
			if s.proj.Source() != t.src {
				continue
			}
			if s.proj.Limit == 0 {
				return
			}
			most = max(most, s.proj.Limit)
		}
	}
	e.rtcp = rtcp.AppendTMMBR(e.begin(t.leg), t.leg.ssrc, []rtcp.Limit{{SSRC: t.layers[0].in.recv.SSRC, Bitrate: most}})
	e.emit(t.leg, out)
}

const (
	// restAfter is how long nobody must want a stream before its sender is told:
	// shorter, and every change of a layout would cost a keyframe.
	restAfter = 2 * time.Second
	// anyRate is the largest rate TMMBR can tell that means no limit to us.
	anyRate = math.MaxUint32
)

// demand tells the peer which of its streams somebody wants now, where it
// heeds limits (CMB-6, SFM-9). It is told again until it has understood.
func (e *Engine) demand(now clock.Time, l *leg, out *Out) (next clock.Time) {
	for _, t := range l.tracks {
		if t.sect < 0 || !heedsLimits(l.media.Sections[t.sect].Recv.Codecs) {
			continue
		}
		silent := true
		if st := t.layers[0].in; st != nil {
			t.rest.ssrc = st.recv.SSRC // it may time out while it rests
			silent = now.Sub(st.recv.Last) >= restAfter
		}
		if t.rest.ssrc == 0 {
			continue
		}
		if rate, tell := t.rest.decide(now, e.wanted(t), silent); tell {
			e.limit(l, t.rest.ssrc, rate, out)
		}
		next = clock.Earliest(next, t.rest.at)
	}
	return next
}

// rest is what a peer was told about a stream of its.
type rest struct {
	ssrc  uint32
	at    clock.Time // when to look again, zero for never
	off   bool       // it was told to rest
	tries uint8      // of waking it
}

// maxWakes bounds the calls for a stream that may have nothing to send.
const maxWakes = 5

func (r *rest) decide(now clock.Time, wanted, silent bool) (rate uint64, tell bool) {
	again := now.Add(restAfter)
	switch {
	case wanted && r.off:
		r.off, r.tries, r.at = false, maxWakes, again
		return anyRate, true
	case wanted && r.tries > 0 && silent && now >= r.at:
		r.tries--
		r.at = again
		return anyRate, true
	case wanted && r.tries > 0 && silent: // wait for the answer
	case wanted:
		r.tries, r.at = 0, 0
	case r.at == 0 && !r.off:
		r.at = again
	case now < r.at:
	case !r.off || !silent:
		r.off, r.at = true, again
		return 0, true
	default:
		r.at = 0
	}
	return 0, false
}

func (e *Engine) limit(l *leg, ssrc uint32, rate uint64, out *Out) {
	e.rtcp = rtcp.AppendTMMBR(e.begin(l), l.ssrc, []rtcp.Limit{{SSRC: ssrc, Bitrate: rate}})
	e.emit(l, out)
}

func heedsLimits(list []plane.Codec) bool {
	for i := range list {
		if list[i].TMMBR {
			return true
		}
	}
	return false
}

// wanted reports whether somebody is sent a track, here or on another shard.
func (e *Engine) wanted(t *track) bool {
	if len(t.remotes) > 0 {
		return true
	}
	for _, l := range e.legs {
		if l == nil || l.conf != t.conf {
			continue
		}
		for _, s := range l.subs {
			if s.proj.Source() == t.src && s.proj.Awake() {
				return true
			}
		}
	}
	return false
}

// demandFor looks at once whether a track's sender is to be woken.
func (e *Engine) demandFor(now clock.Time, src *stream.Source) {
	if src == nil {
		return
	}
	if t := e.track(src.ID); t != nil && t.leg != nil {
		e.wake(t.leg, now)
	}
}
