package srtp

// windowBits is the replay window. RFC 3711, section 3.3.2 asks for at least
// 64; a packet repaired by NACK on its own SSRC comes back some hundred packets
// late, and would be lost to a smaller window. Power of two.
const (
	windowBits  = 512
	windowWords = windowBits / 64
)

// window remembers which of the last windowBits indices were seen, as a ring of
// bits: bit i%windowBits is index i's.
type window struct {
	high uint64 // highest index seen
	bits [windowWords]uint64
}

func bit(i uint64) (word int, mask uint64) {
	i %= windowBits
	return int(i / 64), 1 << (i % 64)
}

// fresh reports whether i is neither seen nor too old.
func (w *window) fresh(i uint64) bool {
	switch {
	case i > w.high:
		return true
	case w.high-i >= windowBits:
		return false
	}
	n, m := bit(i)
	return w.bits[n]&m == 0
}

// mark notes i as seen. Only after authentication.
func (w *window) mark(i uint64) {
	if i > w.high {
		if i-w.high >= windowBits {
			w.bits = [windowWords]uint64{}
		} else {
			for j := w.high + 1; j < i; j++ {
				n, m := bit(j)
				w.bits[n] &^= m
			}
		}
		w.high = i
	}
	n, m := bit(i)
	w.bits[n] |= m
}

// stream is the state of one SSRC.
type stream struct {
	ssrc  uint32
	begun bool
	used  uint64 // turn of the context at the last packet, for eviction
	window
}

// index guesses the 48-bit index of a sequence number from the highest seen
// (RFC 3711, section 3.3.1 and appendix A). It changes nothing.
func (s *stream) index(seq uint16) (i uint64, ok bool) {
	if !s.begun {
		return uint64(seq), true
	}
	roc, last := s.high>>16, int32(uint16(s.high))
	d := int32(seq) - last
	switch {
	case d > 1<<15:
		if roc == 0 {
			// Before the first packet's beginning: there is no ROC -1. Taken
			// literally the appendix would wrap to 2^32-1; a jump ahead by more
			// than half is no sane reading either, so the packet is in this ROC.
			return uint64(seq), true
		}
		roc--
	case d < -(1 << 15):
		if roc++; roc > 1<<32-1 {
			return 0, false
		}
	}
	return roc<<16 | uint64(seq), true
}

func (s *stream) take(i uint64) {
	if !s.begun {
		s.begun, s.high = true, i
	}
	s.mark(i)
}

// streams is a table of SSRC states, sorted by SSRC: a link has a handful, so
// a slice with the last hit remembered beats a map in time and in memory.
type streams struct {
	list []stream
	last int
	max  int
	turn uint64
}

// find returns the place of ssrc, or where it would be.
func (t *streams) find(ssrc uint32) (i int, ok bool) {
	if t.last < len(t.list) && t.list[t.last].ssrc == ssrc {
		return t.last, true
	}
	lo, hi := 0, len(t.list)
	for lo < hi {
		if mid := (lo + hi) / 2; t.list[mid].ssrc < ssrc {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(t.list) && t.list[lo].ssrc == ssrc {
		t.last = lo
		return lo, true
	}
	return lo, false
}

// idleTurns is how many packets of other streams a stream must have let pass
// before a new one may take its place in a full table: some minutes of a normal
// link, so that a stranger to the list cannot push out a live stream.
const idleTurns = 10000

// add makes a state for ssrc; nil when the table is full of live streams.
func (t *streams) add(ssrc uint32) *stream {
	if len(t.list) >= t.max && !t.evict() {
		return nil
	}
	i, _ := t.find(ssrc)
	t.list = append(t.list, stream{})
	copy(t.list[i+1:], t.list[i:])
	t.list[i] = stream{ssrc: ssrc, used: t.turn}
	t.last = i
	return &t.list[i]
}

func (t *streams) evict() bool {
	oldest := 0
	for i := range t.list {
		if t.list[i].used < t.list[oldest].used {
			oldest = i
		}
	}
	if len(t.list) == 0 || t.turn-t.list[oldest].used < idleTurns {
		return false
	}
	t.removeAt(oldest)
	return true
}

func (t *streams) removeAt(i int) { t.list = append(t.list[:i], t.list[i+1:]...) }

func (t *streams) remove(ssrc uint32) {
	if i, ok := t.find(ssrc); ok {
		t.removeAt(i)
	}
}

// touch counts a packet of s.
func (t *streams) touch(s *stream) {
	t.turn++
	s.used = t.turn
}
