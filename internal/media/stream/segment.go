package stream

// segment is a stretch of outgoing numbers with one constant relation to one
// source: a new one begins whenever something was left out or the source
// changed. A short list of them maps any outgoing number back to its packet.
type segment struct {
	out    int64 // first outgoing number
	delta  int64 // outgoing minus source number
	last   int64 // highest source number forwarded
	hist   *History
	src    *Source
	ts     uint32 // added to source timestamps
	pic    uint16 // added to VP8 and VP9 picture ids
	frames uint16 // added to dependency descriptors' frame numbers
	gen    uint16
	layer  uint8
	tl0    uint8 // added to TL0PICIDX
}

// maxSegments bounds the map of one projection; beyond it the oldest numbers
// can no longer be repaired, which after this many changes nobody asks for.
const maxSegments = 16

// first returns the source number the segment began with.
func (s *segment) first() int64 { return s.out - s.delta }

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
		if s := &list[i]; s.hist == h && ext >= s.first() && ext <= s.last {
			return s
		}
	}
	return nil
}

// byOut finds the stretch an outgoing number belongs to.
func byOut(list []segment, out int64) *segment {
	for i := len(list) - 1; i >= 0; i-- {
		if s := &list[i]; out >= s.out {
			if out > s.last+s.delta {
				return nil
			}
			return s
		}
	}
	return nil
}
