package topology

import (
	"slices"

	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
)

// AddLeg lets a leg take part; RemoveLeg ends that, and what it sent.
func (v *VideoSwitch) AddLeg(leg graph.LegID) {
	if !slices.Contains(v.legs, leg) {
		v.legs = append(v.legs, leg)
	}
}

// RemoveLeg undoes AddLeg.
func (v *VideoSwitch) RemoveLeg(leg graph.LegID) {
	v.legs = slices.DeleteFunc(v.legs, func(l graph.LegID) bool { return l == leg })
	for _, x := range slices.Clone(v.inputs) {
		if x.Leg == leg {
			v.RemoveInput(x.Track)
		}
	}
}

// AddInput makes a source known.
func (v *VideoSwitch) AddInput(i Input) { v.inputs = append(v.inputs, newInput(i)) }

// RemoveInput ends a source.
func (v *VideoSwitch) RemoveInput(t graph.TrackID) {
	x := v.input(t)
	v.inputs = slices.DeleteFunc(v.inputs, func(y *input) bool { return y == x })
	if v.selected == x {
		v.selected = nil
	}
	if v.wanted == x {
		v.wanted = nil
	}
}

func (v *VideoSwitch) input(t graph.TrackID) *input {
	for _, x := range v.inputs {
		if x.Track == t {
			return x
		}
	}
	return nil
}

// crossing returns what of a leg's compound the others get: as it came, but an
// SR of a source that is not selected becomes an RR with the same blocks, since
// nobody receives what it would report on. Nil for a malformed compound.
func (v *VideoSwitch) crossing(leg graph.LegID, b []byte) []byte {
	out := v.buf[:0]
	var p rtcp.Packet
	it := rtcp.Parse(b)
	for rest := b; it.Next(&p); {
		n := 4 + 4*(int(rest[2])<<8|int(rest[3]))
		raw := rest[:n]
		rest = rest[n:]
		if s, ok := p.Sender(); p.Type != rtcp.TypeSR || !ok || v.sends(leg, s) {
			out = append(out, raw...)
			continue
		}
		out = append(out, rtcp.AppendRR(nil, be32(p.Body), nil)...)
		k := p.Blocks()
		at := len(out) - 8
		out[at] |= uint8(k)
		out[at+3] = uint8(1 + 6*k)
		if k > 0 {
			out = append(out, p.Body[24:24+24*k]...)
		}
	}
	v.buf = out
	if it.Bad() {
		return nil
	}
	return out
}

// sends reports whether an SSRC of a leg is what receivers are shown.
func (v *VideoSwitch) sends(leg graph.LegID, ssrc uint32) bool {
	return v.selected != nil && v.selected.Leg == leg && v.selected.SSRC == ssrc
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
