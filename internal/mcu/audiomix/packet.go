package audiomix

import (
	"slices"

	"parley/internal/base/clock"
)

// send writes an output's packet. Sequence and timestamp move on in every slot.
func (m *Mixer) send(now clock.Time, c *class, o *output) {
	o.seq++
	o.ts += o.format.step * uint32(max(1, now.Sub(o.at)/slot)) // slots the room had to skip are time too
	o.at = now
	if c.n == 0 {
		return
	}
	b := c.packet[:c.size]
	if o.Levels != c.ext || o.Anonymous || c.hasOwn(o.dev) {
		b = c.without(o, m.odd[:])
	}
	b[1] = o.Codec.PT & 0x7f
	put16(b[2:], o.seq)
	put32(b[4:], o.ts)
	put32(b[8:], o.SSRC)
	m.cfg.Sink.Packet(o.Lane, o.Track, b)
}

// hasOwn tells whether a listener's own id is on the list: a cascaded mixer may
// say so.
func (c *class) hasOwn(d *device) bool {
	return d != nil && slices.ContainsFunc(c.csrc[:c.nc], d.owns)
}

// build makes the packet that all outputs share but for its fixed fields.
func (c *class) build() {
	if c.n == 0 || len(c.outputs) == 0 {
		return
	}
	c.ext = c.outputs[0].Levels
	k := header(c.packet[:], c.ext, c.csrc[:c.nc], c.levels[:c.nc])
	c.size = k + copy(c.packet[k:], c.buf[:c.n])
}

// without makes the packet of an output that may not see the whole list.
func (c *class) without(o *output, b []byte) []byte {
	var csrc [maxCSRC]uint32
	var levels [maxCSRC]uint8
	n := 0
	for i := range c.nc {
		if !o.Anonymous && !o.dev.owns(c.csrc[i]) {
			csrc[n], levels[n] = c.csrc[i], c.levels[i]
			n++
		}
	}
	k := header(b, o.Levels, csrc[:n], levels[:n])
	return b[:k+copy(b[k:], c.buf[:c.n])]
}

// header writes what of an RTP header does not depend on the output: contributors
// and their levels.
func header(b []byte, ext uint8, csrc []uint32, levels []uint8) int {
	b[0] = 0x80 | byte(len(csrc))
	n := 12
	for _, id := range csrc {
		put32(b[n:], id)
		n += 4
	}
	if ext == 0 || len(csrc) == 0 {
		return n
	}
	// One element of one byte per contributor, in the one-byte form (RFC 8285).
	b[0] |= 0x10
	words := (1 + len(levels) + 3) / 4
	put16(b[n:], 0xbede)
	put16(b[n+2:], uint16(words))
	n += 4
	clear(b[n : n+4*words])
	b[n] = ext<<4 | byte(len(levels)-1)
	copy(b[n+1:], levels)
	return n + 4*words
}

func put16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }

func put32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}
