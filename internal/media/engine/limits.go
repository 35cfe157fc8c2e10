package engine

import (
	"parley/internal/media/rtcp"
)

// handleLimits takes TMMBR for streams of ours and answers with TMMBN (RFC 5104,
// section 4.2; rule C10). It acts on this leg alone; only who mixes for this
// leg is told, since only it can send less without cost to others.
func (e *Engine) handleLimits(l *leg, p *rtcp.Packet, out *Out) {
	from, ok := p.Sender()
	for i := range p.Limits() {
		lim := p.Limit(i)
		pr := l.egress.Find(lim.SSRC)
		if pr == nil || !ok {
			continue
		}
		pr.Limit = max(1, lim.Bitrate)
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
