package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/seqnum"
	"parley/internal/media/rtcp"
)

// Verdict says what a received sequence number meant.
type Verdict uint8

// Verdicts.
const (
	Fresh     Verdict = iota // higher than all before
	Late                     // fills a gap
	Duplicate                // seen before
	TooOld                   // beyond the window: cannot tell
)

const (
	window = 1024 // sequence numbers remembered for duplicates
	// maxJump is RFC 3550's MAX_DROPOUT (A.1): a longer jump is a restart of the
	// sender's numbering and not a loss.
	maxJump = 3000
	// jumpSecs is the longest time between two packets that counts as jitter.
	jumpSecs = 5
	maxClock = 192000
)

// Receiver is the receive side of one SSRC: numbering, duplicates, losses and
// the report about it (RFC 3550, section 6.4.1 and A.3, A.8).
type Receiver struct {
	SSRC  uint32
	Clock uint32 // Hz
	Nack  Nacker
	Last  clock.Time // last RTP packet

	high, base int64 // extended numbers, first cycle starts at 65536
	seen       [window / 64]uint64
	started    bool
	badNext    uint16 // number that would confirm a restart
	badSet     bool

	received, recovered          int64
	expectedPrior, receivedPrior int64
	fresh                        bool // RTP came since the last block
	jitter                       float64
	transit                      int32
	hasTransit                   bool
	lsr                          uint32
	srAt                         clock.Time
}

// Packet takes one RTP packet of this SSRC and returns its extended number.
// repaired says that it came by RTX: it fills a gap but does not count as
// received in reports (RFC 4588, section 6.3... the sender judges its path by them).
func (r *Receiver) Packet(now clock.Time, seq uint16, ts uint32, repaired bool) (int64, Verdict) {
	if !r.started {
		if repaired {
			return 0, TooOld
		}
		r.started = true
		r.high = int64(seq) + 1<<16
		r.base = r.high
		r.mark(r.high)
		r.arrived(now, ts)
		return r.high, Fresh
	}
	ext := r.high + int64(seqnum.Diff(seq, uint16(r.high)))
	d := ext - r.high
	if d > maxJump || d < -maxJump {
		if repaired || !r.restart(seq) {
			return 0, TooOld
		}
		ext = r.high + int64(seq-uint16(r.high))
		r.base += ext - r.high - 1 // the jump is no loss
		r.seen = [window / 64]uint64{}
		r.Nack.reset()
		r.high = ext - 1
		d = 1
	}
	switch {
	case d > 0 && repaired: // the repair of a packet we never missed
		return 0, TooOld
	case d > 0:
		r.advance(now, ext)
		r.arrived(now, ts)
		return ext, Fresh
	case d <= -window:
		return ext, TooOld
	case r.has(ext):
		return ext, Duplicate
	}
	r.mark(ext)
	if ext < r.base {
		r.base = ext
	}
	if repaired {
		r.Nack.got(now, ext, resent)
		r.recovered++
	} else {
		r.Nack.got(now, ext, itself)
		r.received++
		r.fresh = true
		r.Last = now
	}
	return ext, Late
}

// arrival is how a packet came that had been missed.
type arrival uint8

const (
	itself   arrival = iota // late
	resent                  // by RTX
	restored                // made out of redundancy of others
)

// Restored takes a packet that was made out of redundancy and reports whether it
// was missed. Like a retransmission it does not count as received in reports.
func (r *Receiver) Restored(now clock.Time, ext int64) bool {
	if !r.Missing(ext) {
		return false
	}
	r.mark(ext)
	r.Nack.got(now, ext, restored)
	r.recovered++
	return true
}

// Missing reports whether a number of the running stream has not come yet and
// would still be taken.
func (r *Receiver) Missing(ext int64) bool {
	return r.started && ext >= r.base && ext < r.high && ext > r.high-window && !r.has(ext)
}

// Highest returns the highest extended number; false before the first packet.
func (r *Receiver) Highest() (int64, bool) { return r.high, r.started }

// restart wants two consecutive numbers before it believes a jump (A.1).
func (r *Receiver) restart(seq uint16) bool {
	ok := r.badSet && seq == r.badNext
	r.badSet, r.badNext = !ok, seq+1
	return ok
}

func (r *Receiver) advance(now clock.Time, ext int64) {
	for x := r.high + 1; x < ext; x++ {
		r.clear(x)
	}
	r.Nack.miss(now, r.high+1, ext)
	r.high = ext
	r.badSet = false
	r.clear(ext)
	r.mark(ext)
}

func (r *Receiver) mark(x int64)  { r.seen[x/64%(window/64)] |= 1 << (x % 64) }
func (r *Receiver) clear(x int64) { r.seen[x/64%(window/64)] &^= 1 << (x % 64) }
func (r *Receiver) has(x int64) bool {
	return r.seen[x/64%(window/64)]&(1<<(x%64)) != 0
}

// arrived counts a packet and updates the jitter estimate (RFC 3550, A.8).
func (r *Receiver) arrived(now clock.Time, ts uint32) {
	r.received++
	r.fresh = true
	r.Last = now
	if r.Clock == 0 {
		return
	}
	arrival := uint32(uint64(now/1000) * uint64(r.Clock) / 1e6)
	transit := int32(arrival - ts)
	if r.hasTransit {
		d := transit - r.transit
		if d < 0 {
			d = -d
		}
		if d < jumpSecs*int32(min(r.Clock, maxClock)) { // else the sender's clock was set anew
			r.jitter += (float64(d) - r.jitter) / 16
		}
	}
	r.transit, r.hasTransit = transit, true
}

// HandleSR remembers a sender report for LSR and DLSR.
func (r *Receiver) HandleSR(now clock.Time, s rtcp.SenderInfo) {
	r.lsr, r.srAt = uint32(s.NTP>>16), now
}

// Block makes the report block of the interval that ends now; false when no RTP
// came in it (PTP-4).
func (r *Receiver) Block(now clock.Time) (rtcp.Block, bool) {
	if !r.fresh {
		return rtcp.Block{}, false
	}
	r.fresh = false
	// What may yet come by itself is not lost: at the end of an interval a path
	// that reorders would show loss which the next takes back.
	expected := r.high - r.base + 1 - r.Nack.waiting(now)
	lost := expected - r.received
	de, dr := expected-r.expectedPrior, r.received-r.receivedPrior
	r.expectedPrior, r.receivedPrior = expected, r.received
	b := rtcp.Block{SSRC: r.SSRC, Lost: int32(max(-1<<23, min(1<<23-1, lost))), Highest: uint32(r.high - 1<<16), Jitter: uint32(r.jitter)}
	if de > 0 && de > dr {
		b.Fraction = uint8(min(255, (de-dr)*256/de))
	}
	if r.srAt != 0 {
		b.LSR = r.lsr
		b.DLSR = uint32(int64(now.Sub(r.srAt)) * 65536 / int64(time.Second))
	}
	return b, true
}

// Counts returns packets expected and those that arrived, repairs included.
func (r *Receiver) Counts() (expected, got uint64) {
	if !r.started {
		return 0, 0
	}
	return uint64(r.high - r.base + 1), uint64(r.received + r.recovered)
}
