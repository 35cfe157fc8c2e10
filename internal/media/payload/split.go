package payload

import "bytes"

// Splitter cuts coded pictures into RTP payloads of one stream. Pieces of a
// picture have nearly equal sizes, so that they leave in one message to the
// kernel. One goroutine.
type Splitter struct {
	codec   Codec
	max     int
	picture uint16 // picture id of VP8 and VP9, runs on over source and encoder changes
	out     [][]byte
	mem     []byte
	nals    [][]byte
}

// NewSplitter makes payloads of at most size bytes; picture is the first id,
// best chosen at random (RFC 7741, section 4.2).
func NewSplitter(c Codec, size int, picture uint16) *Splitter {
	return &Splitter{codec: c, max: size, picture: picture & 0x7fff}
}

// Split returns the payloads of one picture as an encoder made it; the last one
// gets the marker. They are valid until the next call. Width and height go into
// VP9 keyframes.
func (s *Splitter) Split(frame []byte, key bool, width, height int) [][]byte {
	s.out, s.mem = s.out[:0], s.mem[:0]
	if len(frame) == 0 {
		return nil
	}
	// A payload points into mem, which therefore must not grow under it.
	if need := len(frame) + (len(frame)/(s.max/2)+64)*16; cap(s.mem) < need {
		s.mem = make([]byte, 0, need)
	}
	switch s.codec {
	case VP8:
		s.splitVP8(frame)
	case VP9:
		s.splitVP9(frame, key, width, height)
	case H264:
		s.splitH264(frame)
	}
	s.picture = (s.picture + 1) & 0x7fff
	return s.out
}

// pieces cuts b into the fewest nearly equal parts of at most size bytes.
func pieces(b []byte, size int, f func(i, n int, part []byte)) {
	n := (len(b) + size - 1) / size
	for i := range n {
		f(i, n, b[i*len(b)/n:(i+1)*len(b)/n])
	}
}

func (s *Splitter) put(parts ...[]byte) {
	start := len(s.mem)
	for _, p := range parts {
		s.mem = append(s.mem, p...)
	}
	s.out = append(s.out, s.mem[start:len(s.mem):len(s.mem)])
}

// splitVP8 writes X, I and a 15-bit picture id (RFC 7741, section 4.2).
func (s *Splitter) splitVP8(frame []byte) {
	d := [4]byte{0x80, 0x80, 0x80 | byte(s.picture>>8), byte(s.picture)}
	pieces(frame, s.max-len(d), func(i, _ int, part []byte) {
		d[0] = 0x80
		if i == 0 {
			d[0] |= 0x10
		}
		s.put(d[:], part)
	})
}

// splitVP9 writes the non-flexible form for one layer; keyframes say their size
// (RFC 9628, section 4.2).
func (s *Splitter) splitVP9(frame []byte, key bool, width, height int) {
	const i, p, b, e, v = 0x80, 0x40, 0x08, 0x04, 0x02
	id := [2]byte{0x80 | byte(s.picture>>8), byte(s.picture)}
	ss := []byte{0x10, byte(width >> 8), byte(width), byte(height >> 8), byte(height)}
	pieces(frame, s.max-8, func(k, n int, part []byte) {
		head := []byte{i, id[0], id[1]}
		if !key {
			head[0] |= p
		}
		if k == n-1 {
			head[0] |= e
		}
		if k > 0 {
			s.put(head, part)
			return
		}
		head[0] |= b
		if key {
			head[0] |= v
			head = append(head, ss...)
		}
		s.put(head, part)
	})
}

// splitH264 sends small parameter sets together (STAP-A) and cuts large NAL
// units (FU-A): packetization-mode 1 (RFC 6184, sections 5.7.1 and 5.8).
func (s *Splitter) splitH264(frame []byte) {
	s.nals = s.nals[:0]
	for _, n := range nalUnits(frame) {
		if t := n[0] & 0x1f; t == nalSPS || t == 8 {
			s.nals = append(s.nals, n)
			continue
		}
		s.sets()
		s.nalUnit(n)
	}
	s.sets()
}

// sets writes the parameter sets gathered so far.
func (s *Splitter) sets() {
	if len(s.nals) == 0 {
		return
	}
	size := 1
	for _, n := range s.nals {
		size += 2 + len(n)
	}
	if len(s.nals) == 1 || size > s.max {
		for _, n := range s.nals {
			s.nalUnit(n)
		}
		s.nals = s.nals[:0]
		return
	}
	start := len(s.mem)
	s.mem = append(s.mem, s.nals[0][0]&0x60|nalSTAPA)
	for _, n := range s.nals {
		s.mem = append(append(s.mem, byte(len(n)>>8), byte(len(n))), n...)
	}
	s.out = append(s.out, s.mem[start:len(s.mem):len(s.mem)])
	s.nals = s.nals[:0]
}

func (s *Splitter) nalUnit(n []byte) {
	if len(n) <= s.max {
		s.put(n)
		return
	}
	pieces(n[1:], s.max-2, func(i, of int, part []byte) {
		fu := [2]byte{n[0]&0xe0 | nalFUA, n[0] & 0x1f}
		switch i {
		case 0:
			fu[1] |= 0x80
		case of - 1:
			fu[1] |= 0x40
		}
		s.put(fu[:], part)
	})
}

// nalUnits cuts an Annex B stream at its start codes.
func nalUnits(b []byte) [][]byte {
	var out [][]byte
	for {
		at := bytes.Index(b, []byte{0, 0, 1})
		if at < 0 {
			return out
		}
		b = b[at+3:]
		end := bytes.Index(b, []byte{0, 0, 1})
		if end < 0 {
			end = len(b)
		}
		if n := bytes.TrimRight(b[:end], "\x00"); len(n) > 0 {
			out = append(out, n)
		}
		b = b[end:]
	}
}
