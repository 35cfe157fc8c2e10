package stream

import (
	"math/bits"

	"parley/internal/media/graph"
	"parley/internal/media/layer"
	"parley/internal/media/rewrite"
)

// segment is a stretch of outgoing numbers with one constant relation to one
// source: its encoding, the layers of it that are sent, and what is added to its
// counters. A new one begins with every change of these. A short list of them
// maps any outgoing number back to its packet.
type segment struct {
	from   int64  // first source number
	out    int64  // its outgoing number
	last   int64  // highest source number seen
	delta  int64  // outgoing minus source number behind last
	sieve  *sieve // nil: nothing was left out
	hist   *History
	src    *Source
	ts     uint32 // added to source timestamps
	point  uint32 // bit of the operating point, see [layer.Point]
	pic    uint16 // added to VP8 and VP9 picture ids
	frames uint16 // added to dependency descriptors' frame numbers
	gen    uint16
	layer  uint8
	tl0    uint8 // added to TL0PICIDX
	keyidx uint8 // added to KEYIDX
	s, t   int8  // the operating point
	// tell has the descriptors say which decode targets are served: less than the
	// structure promises, or again more than was said before.
	tell bool
	at   uint32 // source timestamp of its first picture
}

// maxSegments bounds the map of one projection; beyond it the oldest numbers
// can no longer be repaired, which after this many changes nobody asks for.
const maxSegments = 16

// first returns the source number the segment began with.
func (s *segment) first() int64 { return s.from }

// next is the outgoing number behind the last.
func (s *segment) next() int64 { return s.last + 1 + s.delta }

// skip keeps the numbers free of those before x that have not come.
func (s *segment) skip(x int64) {
	if s.sieve != nil {
		for y := s.last + 1; y < x; y++ {
			s.sieve.put(y, y+s.delta, true, false)
		}
	}
	s.last = x - 1
}

// take notes that x is sent.
func (s *segment) take(x int64) {
	if s.sieve != nil {
		s.skip(x)
		s.sieve.put(x, x+s.delta, true, false)
	}
	s.last = x
}

// leave notes that x is not; picture tells that one begins with it that is left
// out as a whole.
func (s *segment) leave(x int64, picture bool) {
	s.skip(x)
	switch {
	case s.sieve != nil:
	case x == s.from: // nothing was sent in it yet
		s.from++
		s.last, s.delta = x, s.delta-1
		if picture {
			s.pic--
		}
		return
	default:
		s.sieve = new(sieve)
		s.sieve.fill(s.from, x, s.delta)
	}
	s.sieve.put(x, x+s.delta, false, picture)
	s.last, s.delta = x, s.delta-1
}

// number returns the outgoing number of x and what is added to its picture id;
// false if it was left out, or is too long ago.
func (s *segment) number(x int64) (out int64, pic uint16, ok bool) {
	switch {
	case x < s.from:
		return 0, 0, false
	case s.sieve == nil:
		return x + s.delta, s.pic, true
	case x <= s.last-sieveSpan+64:
		return 0, 0, false
	}
	out, n, ok := s.sieve.number(x)
	return out, s.pic - n, ok
}

// picture is what is added to the id of the picture behind the last.
func (s *segment) picture() uint16 {
	if s.sieve == nil {
		return s.pic
	}
	w := s.sieve.at(s.last)
	return s.pic - w.pics - uint16(bits.OnesCount64(w.ended))
}

// source returns the packet number of an outgoing one.
func (s *segment) source(out int64) (int64, bool) {
	if s.sieve == nil {
		return out - s.delta, true
	}
	return s.sieve.source(out, s.last, s.from)
}

// recall finds a packet by its outgoing number.
func (s *segment) recall(out int64) *graph.Packet {
	x, ok := s.source(out)
	if !ok {
		return nil
	}
	return s.hist.Get(x)
}

// covers reports whether a packet belongs to what is sent in the segment.
func (s *segment) covers(in *graph.Packet) bool {
	f := &in.Frame
	return f.Flags&layer.Known == 0 || f.Present&s.point != 0 || f.Flags&layer.Key != 0
}

// marker is the marker bit as it is sent: the last packet of the highest spatial
// layer that is sent ends the picture (RFC 9628, section 4.1).
func (s *segment) marker(in *graph.Packet) bool {
	f := &in.Frame
	return in.Hdr.Marker || f.Has(layer.Known|layer.End) && int8(f.Spatial) == s.s
}

// renames reports whether picture ids are changed.
func (s *segment) renames() bool { return s.pic != 0 || s.tl0 != 0 || s.keyidx != 0 || s.sieve != nil }

// targets has a packet's dependency descriptor tell which decode targets are
// served: each that tells so already, those of the segment's first picture, and
// of frames of the lowest temporal layer, so that who lost one learns it with the
// next.
func (s *segment) targets(in *graph.Packet, hop *rewrite.Hop) {
	if f := &in.Frame; f.Has(layer.Exact) && (f.Has(layer.Tells) || f.Temporal == 0 || in.Hdr.TS == s.at) {
		hop.Dependency, hop.Spatial, hop.Temporal = s.src.Layers[s.layer].dep, s.s, s.t
	}
}

// push adds a segment, forgetting the oldest when full.
func push(list []segment, s segment) []segment {
	if len(list) == maxSegments {
		copy(list, list[1:])
		list = list[:maxSegments-1]
	}
	return append(list, s)
}

// bySource finds the stretch in which a source number of a layer was due.
func bySource(list []segment, h *History, ext int64) *segment {
	for i := len(list) - 1; i >= 0; i-- {
		if s := &list[i]; s.hist == h && ext >= s.from && ext <= s.last {
			return s
		}
	}
	return nil
}

// byOut finds the stretch an outgoing number belongs to.
func byOut(list []segment, out int64) *segment {
	for i := len(list) - 1; i >= 0; i-- {
		if s := &list[i]; out >= s.out {
			if out >= s.next() {
				return nil
			}
			return s
		}
	}
	return nil
}
