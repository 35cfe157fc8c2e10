package rtcp

import "encoding/binary"

// TWCC walks the statuses of transport-wide congestion control feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).
type TWCC struct {
	Base  uint16 // first transport-wide number reported
	Count int    // statuses that follow
	Ref   uint32 // reference time, 24 bits in units of 64 ms
	FB    uint8  // number of the message

	chunks, deltas []byte
	run, vec       uint16 // what the present chunk holds
	left, width    int    // statuses left in it; bits of one, 0 for a run
	done           int
}

// TWCC opens transport-wide feedback; false if p is none or its lengths lie.
// Everything is checked here, so that Next cannot fail.
func (p *Packet) TWCC() (t TWCC, ok bool) {
	if p.Type != TypeRTPFB || p.Count != FmtTWCC || len(p.Body) < 16 {
		return t, false
	}
	b := p.Body[8:]
	t.Base, t.Count = binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
	t.Ref, t.FB = be32(b[4:])>>8, b[7]
	t.chunks = b[8:]
	probe, need := t, 0
	for probe.done < probe.Count {
		s, ok := probe.symbol()
		if !ok || s == 3 { // 3 is reserved
			return TWCC{}, false
		}
		if probe.width == 0 { // the rest of a run at once: a run can be 8191 long
			rest := min(probe.left, probe.Count-probe.done)
			need += int(s) * rest
			probe.left -= rest
			probe.done += rest
		}
		need += int(s)
	}
	if t.deltas = probe.chunks; len(t.deltas) < need {
		return TWCC{}, false
	}
	return t, true
}

// symbol returns the next status: 0 missing, 1 a small delta, 2 a large one.
func (t *TWCC) symbol() (s uint16, ok bool) {
	if t.left == 0 {
		if len(t.chunks) < 2 {
			return 0, false
		}
		c := binary.BigEndian.Uint16(t.chunks)
		t.chunks = t.chunks[2:]
		switch {
		case c>>15 == 0:
			t.run, t.left, t.width = c>>13, int(c&0x1fff), 0
			if t.left == 0 {
				return 0, false // a run of nothing does not advance
			}
		case c>>14 == 2:
			t.vec, t.left, t.width = c<<2, 14, 1
		default:
			t.vec, t.left, t.width = c<<2, 7, 2
		}
	}
	t.left--
	t.done++
	if t.width == 0 {
		return t.run, true
	}
	s = t.vec >> (16 - t.width)
	t.vec <<= t.width
	return s, true
}

// Next returns the next number and its delta in ticks of 250 µs from the
// arrival before it (the first: from Ref), or Missing; false at the end.
func (t *TWCC) Next() (seq uint16, delta int32, ok bool) {
	if t.done >= t.Count {
		return 0, 0, false
	}
	seq = t.Base + uint16(t.done)
	s, ok := t.symbol()
	if !ok || len(t.deltas) < int(s) {
		t.done = t.Count
		return 0, 0, false
	}
	delta = Missing
	switch s {
	case 1:
		delta = int32(t.deltas[0])
	case 2:
		delta = int32(int16(binary.BigEndian.Uint16(t.deltas)))
	}
	t.deltas = t.deltas[s:]
	return seq, delta, true
}
