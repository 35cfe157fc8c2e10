package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/seqnum"
	"parley/internal/media/rtcp"
)

// Tally is what a projection's receiver was sent and said about it, for
// statistics. Counters grow; nothing is decided by them.
type Tally struct {
	NACKs, RTX, PLIs uint64 // asked for by its receiver; packets resent
	Lost             int64  // cumulative, of its reports
	Jitter           uint32 // of its last report, in RTP ticks
	Frames           uint64 // pictures begun (audio: packets)
	Keyframes        uint64
	Switches         uint64        // changes of encoding or layer while a picture was shown
	Freezes          uint64        // see [Tally.frame]
	Frozen           time.Duration // all of them together

	ts    uint32
	at    clock.Time    // the last picture began; zero: none since it was stopped
	mean  time.Duration // between pictures
	shown Quality

	repeated clock.Time // a packet with redundancy left (RFC 2198)
}

// Repeats reports whether packets repeat those before them at present.
func (y *Tally) Repeats(now clock.Time) bool {
	return y.repeated != 0 && now.Sub(y.repeated) < time.Second
}

// frozenFor is how much longer than usual a picture must stand to be a freeze:
// the definition of freezeCount in the W3C's "Identifiers for WebRTC's
// Statistics API", max(3 δ, δ + 150 ms), applied to what is sent.
const frozenFor = 150 * time.Millisecond

func (y *Tally) limit() time.Duration { return max(3*y.mean, y.mean+frozenFor) }

// frame is told of every packet sent, and counts it if it begins a picture. A
// pause by wish (see [Tally.Rest]) is no freeze; waiting for a key frame is.
func (y *Tally) frame(now clock.Time, ts uint32, key bool, shown Quality) {
	if y.Frames > 0 && (ts == y.ts || seqnum.Less32(ts, y.ts)) {
		return
	}
	y.ts = ts
	y.Frames++
	if key {
		y.Keyframes++
	}
	if shown != y.shown && y.at != 0 {
		y.Switches++
	}
	y.shown = shown
	if y.at != 0 {
		d := now.Sub(y.at)
		if y.mean != 0 && d > y.limit() {
			y.Freezes++
			y.Frozen += d
		} else if y.mean == 0 {
			y.mean = d
		} else {
			y.mean += (d - y.mean) / 16
		}
	}
	y.at = now
}

// Rest tells that what is shown ended by somebody's wish.
func (y *Tally) Rest() { y.at, y.mean = 0, 0 }

// report takes the receiver's word about the stream.
func (y *Tally) report(b *rtcp.Block) { y.Lost, y.Jitter = int64(b.Lost), b.Jitter }

// Standing returns for how long the last picture has been standing beyond the
// usual; 0 while they flow or nothing is shown.
func (y *Tally) Standing(now clock.Time) time.Duration {
	if y.at == 0 || y.mean == 0 {
		return 0
	}
	if d := now.Sub(y.at); d > y.limit() {
		return d
	}
	return 0
}

// ReceiverStats are a receiver's counters.
type ReceiverStats struct {
	Expected, Received, Repaired uint64 // Received without what was repaired
	Jitter                       time.Duration
}

// Stats returns the present state.
func (r *Receiver) Stats() (s ReceiverStats) {
	if !r.started {
		return s
	}
	s = ReceiverStats{Expected: uint64(max(0, r.high-r.base+1)), Received: uint64(r.received), Repaired: uint64(r.recovered)}
	if r.Clock != 0 {
		s.Jitter = time.Duration(r.jitter * float64(time.Second) / float64(r.Clock))
	}
	return s
}

// Rate returns what an encoding carried over the last second or so, in bit/s.
func (s *Source) Rate(now clock.Time, layer int) uint64 { return s.Layers[layer].meter.bits(now) }

// Told names what the leg's receiver tells about arrivals.
func (e *Egress) Told() string {
	switch c := e.cong; {
	case c == nil:
	case c.fb.TWCC:
		return "twcc"
	case c.fb.CCFB:
		return "ccfb"
	case c.fb.REMB:
		return "remb"
	}
	return ""
}

// Pacing is what waits to be sent on a leg, for statistics.
type Pacing struct {
	Bytes   int
	Drain   time.Duration // of all of it
	Probing bool
}

// Pacing returns the present state.
func (e *Egress) Pacing() (s Pacing) {
	c := e.cong
	if c == nil {
		return s
	}
	s = Pacing{Bytes: c.queue.bytes + c.again.bytes, Probing: c.probing}
	if s.Bytes > 0 {
		s.Drain = c.pace.Drain(s.Bytes)
	}
	return s
}
