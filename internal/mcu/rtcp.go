package mcu

import (
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// takeRTCP reads what the engine says on the inside link: clocks and ends of
// sources, and requests for outputs.
func (r *room) takeRTCP(now clock.Time, compound []byte) {
	var p rtcp.Packet
	for it := rtcp.Parse(compound); it.Next(&p); {
		switch {
		case p.Type == rtcp.TypeSR:
			r.takeSR(now, &p)
		case p.Type == rtcp.TypeBYE:
			r.takeBYE(now, &p)
		case p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtPLI:
			if ssrc, ok := p.Media(); ok {
				r.wantKeyframe(now, ssrc)
			}
		case p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtFIR:
			for i := range p.FIRs() {
				ssrc, _ := p.FIR(i)
				r.wantKeyframe(now, ssrc)
			}
		case p.Type == rtcp.TypeRTPFB && p.Count == rtcp.FmtTMMBR:
			for i := range p.Limits() {
				lim := p.Limit(i)
				for _, o := range r.link.byOutput(lim.SSRC) {
					if h := r.halves[o.kind-plane.Audio]; h != nil {
						h.SetRate(now, o.track, lim.Bitrate)
					}
				}
			}
		}
	}
}

func (r *room) takeSR(now clock.Time, p *rtcp.Packet) {
	s, ok := p.SenderInfo()
	ssrc, _ := p.Sender()
	if kind, src, known := r.link.input(ssrc); ok && known {
		if h := r.halves[kind-plane.Audio]; h != nil {
			h.HandleSR(now, src, s)
		}
	}
}

func (r *room) takeBYE(now clock.Time, p *rtcp.Packet) {
	for i := 0; ; i++ {
		ssrc, ok := p.ByeSSRC(i)
		if !ok {
			return
		}
		if kind, src, known := r.link.input(ssrc); known {
			if h := r.halves[kind-plane.Audio]; h != nil {
				h.Gone(now, src)
			}
		}
	}
}

func (r *room) wantKeyframe(now clock.Time, ssrc uint32) {
	for _, o := range r.link.byOutput(ssrc) {
		if h := r.halves[o.kind-plane.Audio]; h != nil {
			h.KeyframeWanted(now, o.track)
		}
	}
}

// host is what a half sees of its room.
type host struct{ *room }

// Emit implements [Host].
func (h host) Emit(out ids.Track, at clock.Time, packets [][]byte) { h.link.emit(out, at, packets) }

// NeedKeyframe implements [Host].
func (h host) NeedKeyframe(src ids.Track) { h.link.needKeyframe(src) }

// Want implements [Host].
func (h host) Want(kind plane.Kind, list []Want) { h.link.want(kind, list) }

// Contributors implements [Host].
func (h host) Contributors(out ids.Track, now []plane.Contributor) {
	if h.link.has(out) {
		h.s.cfg.Plane.Contributors(h.conf, out, now)
	}
}

// Report implements [Host].
func (h host) Report(event string, track ids.Track, detail string) {
	if event == "loop" {
		h.s.count.loops.Add(1)
	}
	h.s.cfg.Log.Warn("mixer: "+event, "conf", h.conf, "track", track, "detail", detail)
}
