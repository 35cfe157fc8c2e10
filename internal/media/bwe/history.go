package bwe

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
)

// Rate is in bits per second, of UDP payload unless said otherwise.
type Rate int64

// Of returns the bytes that d takes at r.
func (r Rate) Of(d time.Duration) int { return int(float64(r) / 8 * d.Seconds()) }

// Time returns how long n bytes take at r.
func (r Rate) Time(n int) time.Duration {
	if r <= 0 {
		return 0
	}
	return time.Duration(float64(n) * 8e9 / float64(r))
}

// per is n bytes in d as a rate, 0 for no time.
func per(n int, d time.Duration) Rate {
	if d <= 0 {
		return 0
	}
	return Rate(float64(n) * 8 / d.Seconds())
}

// Packet is what the controller notes of a packet that left.
type Packet struct {
	Seq     uint16 // transport-wide number, one more than that of the packet before it
	Size    int    // UDP payload
	Cluster int    // probe it belongs to, 0 for none
	New     bool   // none of its stream is known to have arrived
	// SSRC and RTP are needed for RFC 8888 feedback only (see TrackRTP).
	SSRC uint32
	RTP  uint16
}

// Result is what became of a packet, told once; a packet told lost may be told
// again as received, then Late.
type Result struct {
	Seq      int64 // extended transport-wide number
	Size     int
	Cluster  int
	New      bool // as sent: that it is lost says nothing of the path
	Sent     clock.Time
	Received bool
	Late     bool          // was told lost before
	Untold   bool          // skipped by feedback, which was lost itself: nothing is known
	Timed    bool          // At is known
	At       time.Duration // arrival on the receiver's clock, whose origin means nothing
	// How it was marked (RFC 3168), with RFC 8888 only: congestion experienced, or
	// as sent by who heeds marks, in the manner of RFC 9331 or as ever.
	CE, ECT1, ECT0 bool
}

const (
	historyMin = 256
	// historyMax bounds the memory of a leg: at 10,000 packets/s it is 0.8 s,
	// which is more than a round trip and a feedback interval.
	historyMax = 8192
	// historySpan is how long an unreported packet keeps its slot while the
	// ring may still grow.
	historySpan = 2 * time.Second
	// reportSpan is the most statuses one feedback may hold; a longer one is
	// no browser's and would only cost time (scenario D9).
	reportSpan = historyMax
)

const (
	free uint16 = iota
	flying
	lost
	untold
	arrived

	stateBits = 3
	sizeMost  = 1<<(16-stateBits) - 1
)

// entry is a packet that left. A cache line holds four: it is written with each
// packet, and those of a hundred legs lie cold.
type entry struct {
	sent clock.Time
	of   int32  // probe, and behind it whether its stream is new
	low  uint16 // low bits of the extended number
	what uint16 // bytes, and behind them the state
}

func (e *entry) size() int         { return int(e.what >> stateBits) }
func (e *entry) state() uint16     { return e.what & (1<<stateBits - 1) }
func (e *entry) become(s uint16)   { e.what = e.what&^(1<<stateBits-1) | s }
func (e *entry) is(seq int64) bool { return e.low == uint16(seq) }
func (e *entry) cluster() int      { return int(e.of >> 1) }
func (e *entry) isNew() bool       { return e.of&1 != 0 }
func sized(n int, s uint16) uint16 { return uint16(min(n, sizeMost))<<stateBits | s }

// History remembers sent packets by transport-wide number until their fate is
// told. It starts small and grows with the rate of the leg.
type History struct {
	ring     []entry
	next     int64 // extended number of the next packet
	told     int64 // highest number feedback spoke of
	inflight int

	ref     int64 // last TWCC reference, unwrapped, in units of 64 ms
	refSeen bool
	rts     int64 // last RFC 8888 timestamp, unwrapped, in units of 1/65536 s
	rtsSeen bool
	sources []source
}

// source finds packets of an SSRC by RTP number, for RFC 8888 feedback.
type source struct {
	ssrc uint32
	used clock.Time
	ring []named // by RTP number
}

// named is a packet by both its numbers.
type named struct {
	seq int64 // extended, transport-wide
	rtp uint16
}

const (
	sourceRing = 1024
	sourcesMax = 32 // an audio and many video streams; the longest unused gives way
)

// Add notes a packet that leaves now.
func (h *History) Add(now clock.Time, p Packet) {
	if h.ring == nil {
		h.ring = make([]entry, historyMin)
		h.next = int64(p.Seq) + 1<<16
		h.told = h.next - 1
	}
	if d := int64(int16(p.Seq - uint16(h.next))); d > 0 { // a gap: numbers given to what was not sent
		h.next += d
	} else if d < 0 {
		return
	}
	e := h.at(h.next)
	if e.state() == flying && len(h.ring) < historyMax && now.Sub(e.sent) < historySpan {
		h.grow()
		e = h.at(h.next)
	}
	if e.state() == flying {
		h.inflight -= e.size()
	}
	*e = entry{sent: now, low: uint16(h.next), of: int32(p.Cluster) << 1, what: sized(p.Size, flying)}
	if p.New {
		e.of |= 1
	}
	h.inflight += e.size()
	if h.sources != nil {
		h.source(now, p.SSRC).ring[p.RTP%sourceRing] = named{h.next, p.RTP}
	}
	h.next++
}

func (h *History) at(seq int64) *entry { return &h.ring[seq&int64(len(h.ring)-1)] }

func (h *History) grow() {
	old := h.ring
	h.ring = make([]entry, 2*len(old))
	for seq := h.next - int64(len(old)); seq < h.next; seq++ {
		if e := old[seq&int64(len(old)-1)]; e.is(seq) {
			*h.at(seq) = e
		}
	}
}

// find returns the entry of a number that may still be told, nil for none.
func (h *History) find(seq int64) *entry {
	if seq >= h.next || seq < h.next-int64(len(h.ring)) {
		return nil
	}
	e := h.at(seq)
	if !e.is(seq) || e.state() == free || e.state() == arrived {
		return nil
	}
	return e
}

// Inflight returns the bytes sent whose fate is not known.
func (h *History) Inflight() int { return h.inflight }

// tell appends the fate of a packet unless it was told before.
func (h *History) tell(out []Result, seq int64, r Result) []Result {
	e := h.find(seq)
	if e == nil || !r.Received && e.state() == lost {
		return out
	}
	if e.state() == flying {
		h.inflight -= e.size()
	}
	r.Seq, r.Size, r.Cluster, r.New, r.Sent, r.Late = seq, e.size(), e.cluster(), e.isNew(), e.sent, e.state() == lost
	switch {
	case r.Received:
		e.become(arrived)
	case r.Untold:
		e.become(untold)
	default:
		e.become(lost)
	}
	h.told = max(h.told, seq)
	return append(out, r)
}

// skipped tells of the packets between the last feedback and one that begins
// at seq: feedback between was lost.
func (h *History) skipped(seq int64, out []Result) []Result {
	for x := max(h.told+1, h.next-int64(len(h.ring))); x < min(seq, h.next); x++ {
		if e := h.find(x); e != nil && e.state() == flying {
			out = h.tell(out, x, Result{Untold: true})
		}
	}
	return out
}

// TWCC appends what transport-wide feedback tells. Feedback on packets that
// were not sent, or of impossible length, tells nothing.
func (h *History) TWCC(t *rtcp.TWCC, out []Result) []Result {
	if h.ring == nil || t.Count > reportSpan {
		return out
	}
	h.unwrapRef(t.Ref)
	at := time.Duration(h.ref) * 64 * time.Millisecond
	base := h.next - 1 - int64(int16(uint16(h.next-1)-t.Base))
	out = h.skipped(base, out)
	for i := int64(0); ; i++ {
		_, d, ok := t.Next()
		if !ok {
			return out
		}
		r := Result{Received: d != rtcp.Missing}
		if r.Received {
			at += time.Duration(d) * 250 * time.Microsecond
			r.Timed, r.At = true, at
		}
		out = h.tell(out, base+i, r)
	}
}

// unwrapRef extends the 24-bit reference time, which turns over in 12 days.
func (h *History) unwrapRef(ref uint32) {
	if !h.refSeen {
		h.refSeen, h.ref = true, int64(ref)
		return
	}
	h.ref += int64(int32((ref-uint32(h.ref))<<8) >> 8)
}

// TrackRTP makes packets be found by SSRC and RTP number, which RFC 8888
// feedback reports; a leg that negotiated it calls this once.
func (h *History) TrackRTP() {
	if h.sources == nil {
		h.sources = make([]source, 0, 4)
	}
}

func (h *History) source(now clock.Time, ssrc uint32) *source {
	oldest := 0
	for i := range h.sources {
		if h.sources[i].ssrc == ssrc {
			h.sources[i].used = now
			return &h.sources[i]
		}
		if h.sources[i].used < h.sources[oldest].used {
			oldest = i
		}
	}
	if len(h.sources) < sourcesMax {
		h.sources = append(h.sources, source{ring: make([]named, sourceRing)})
		oldest = len(h.sources) - 1
	}
	s := &h.sources[oldest]
	s.ssrc, s.used = ssrc, now
	clear(s.ring)
	return s
}

// CCFB appends what RFC 8888 feedback tells.
func (h *History) CCFB(c *rtcp.CCFB, out []Result) []Result {
	if h.ring == nil || h.sources == nil {
		return out
	}
	if !h.rtsSeen {
		h.rtsSeen, h.rts = true, int64(c.Time)
	}
	h.rts += int64(int32(c.Time - uint32(h.rts)))
	stamp := time.Duration(h.rts) * time.Second >> 16
	for m := (rtcp.Metric{}); c.Next(&m); {
		seq, ok := h.lookup(m.SSRC, m.Seq)
		if !ok {
			continue
		}
		r := Result{Received: m.Received}
		if m.Received {
			r.CE, r.ECT1, r.ECT0 = m.ECN == 3, m.ECN == 1, m.ECN == 2
		}
		if m.Received && m.ATO < rtcp.ATOOverflow {
			r.Timed, r.At = true, stamp-time.Duration(m.ATO)*time.Second>>10
		}
		out = h.tell(out, seq, r)
	}
	return out
}

func (h *History) lookup(ssrc uint32, rtp uint16) (int64, bool) {
	for i := range h.sources {
		if s := &h.sources[i]; s.ssrc == ssrc {
			n := s.ring[rtp%sourceRing]
			return n.seq, n.rtp == rtp && h.find(n.seq) != nil
		}
	}
	return 0, false
}
