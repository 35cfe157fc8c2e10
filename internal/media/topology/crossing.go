package topology

import (
	"encoding/binary"

	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
)

// wellFormed reports whether a compound can be read to its end.
func wellFormed(b []byte) bool {
	var p rtcp.Packet
	it := rtcp.Parse(b)
	for it.Next(&p) {
	}
	return !it.Bad() && len(b) > 0
}

// each calls f for every packet of a well-formed compound, with its bytes.
func each(b []byte, f func(p *rtcp.Packet, raw []byte)) {
	var p rtcp.Packet
	rest := b
	for it := rtcp.Parse(b); it.Next(&p); {
		n := 4 + 4*int(binary.BigEndian.Uint16(rest[2:]))
		f(&p, rest[:n])
		rest = rest[n:]
	}
}

// crossing returns what of a leg's compound another gets: as it came, but an SR
// of a source that it is not shown becomes an RR with the same blocks, since
// nobody receives there what it would report on.
func (v *VideoSwitch) crossing(to *viewer, from graph.LegID, b []byte) []byte {
	out := v.buf[:0]
	each(b, func(p *rtcp.Packet, raw []byte) {
		if s, ok := p.Sender(); p.Type == rtcp.TypeSR && ok && !to.shows(from, s) {
			out = demote(out, p)
		} else {
			out = append(out, raw...)
		}
	})
	v.buf = out
	return out
}

// demote appends a sender report as a receiver report with the same blocks.
func demote(b []byte, p *rtcp.Packet) []byte {
	at := len(b)
	b = rtcp.AppendRR(b, binary.BigEndian.Uint32(p.Body), nil)
	k := p.Blocks()
	b[at] |= uint8(k)
	b[at+3] = uint8(1 + 6*k)
	if k > 0 {
		b = append(b, p.Body[24:24+24*k]...)
	}
	return b
}

// shows reports whether an SSRC of a leg is what a viewer is shown.
func (l *viewer) shows(leg graph.LegID, ssrc uint32) bool {
	x := l.selected
	return x != nil && x.Leg == leg && x.SSRC == ssrc
}
