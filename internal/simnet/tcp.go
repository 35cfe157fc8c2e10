package simnet

import (
	"encoding/binary"
	"math"
	"time"

	"parley/internal/base/clock"
)

const (
	tcpSegment = 1460                   // payload of a full segment
	tcpHeaders = 12                     // TCP header and options beyond a UDP header, which is Config.Overhead's
	tcpFloor   = 200 * time.Millisecond // least retransmission time-out, as Linux has it
	cubicC     = 0.4                    // RFC 9438, section 5.1
	cubicBeta  = 0.7                    // RFC 9438, section 4.6
)

// TCP is a bulk download that shares a link with what is tested: slow start,
// congestion avoidance after Reno (RFC 5681) or CUBIC (RFC 9438), loss found by
// three later arrivals (RFC 6675) or by time-out (RFC 6298), one reduction a
// round trip. It models the load on a queue, not the protocol: no handshake, no
// window of the receiver, an endless file.
//
// Packets carry their number; the test hands arrivals at Data to OnData and
// those at Acks to OnAck, and calls Tick.
type TCP struct {
	data, acks *Link
	cubic      bool
	buf        [16]byte

	next, una int64 // next number to send; all before una are through
	have      map[int64]bool
	flying    map[int64]clock.Time
	high      int64 // highest number acknowledged
	recover   int64 // losses below belong to a reduction already made

	cwnd, ssthresh float64 // segments
	wmax           float64
	epoch          clock.Time
	srtt, rttvar   time.Duration
	rto            clock.Time
	backoff        int
	received       int64
	stopped        bool
}

// NewTCP makes a flow that sends over data and is acknowledged over acks.
func NewTCP(data, acks *Link, cubic bool) *TCP {
	return &TCP{data: data, acks: acks, cubic: cubic, cwnd: 10, ssthresh: math.Inf(1), high: -1,
		have: map[int64]bool{}, flying: map[int64]clock.Time{}}
}

// Received returns the payload bytes that arrived in order or not, once each.
func (t *TCP) Received() int64 { return t.received }

// Stop ends the download.
func (t *TCP) Stop() { t.stopped = true; clear(t.flying) }

// OnData takes a segment at the receiver and sends the acknowledgement.
func (t *TCP) OnData(now clock.Time, payload []byte) {
	seq := int64(binary.BigEndian.Uint64(payload))
	if seq >= t.una && !t.have[seq] {
		t.have[seq] = true
		t.received += tcpSegment
	}
	t.acks.SendSized(now, payload[:8], tcpHeaders)
}

// OnAck takes an acknowledgement of one segment at the sender.
func (t *TCP) OnAck(now clock.Time, payload []byte) {
	seq := int64(binary.BigEndian.Uint64(payload))
	sent, ok := t.flying[seq]
	if !ok || t.stopped {
		return
	}
	delete(t.flying, seq)
	t.sample(now.Sub(sent))
	t.high, t.backoff = max(t.high, seq), 0
	t.rto = now.Add(t.timeout())
	t.grow(now)
	for x := t.una; x <= t.high-3; x++ { // three later ones arrived, and it had its time
		if at, out := t.flying[x]; out && now.Sub(at) > t.srtt {
			t.lose(now, x)
		}
	}
	for t.have[t.una] && t.una < t.next {
		if _, out := t.flying[t.una]; out {
			break
		}
		delete(t.have, t.una)
		t.una++
	}
	t.fill(now)
}

func (t *TCP) lose(now clock.Time, seq int64) {
	if seq >= t.recover {
		t.recover, t.wmax, t.epoch = t.next, t.cwnd, now
		beta := 0.5
		if t.cubic {
			beta = cubicBeta
		}
		t.ssthresh = max(2, t.cwnd*beta)
		t.cwnd = t.ssthresh
	}
	t.send(now, seq)
}

func (t *TCP) grow(now clock.Time) {
	switch {
	case t.cwnd < t.ssthresh:
		t.cwnd++
	case !t.cubic:
		t.cwnd += 1 / t.cwnd
	default:
		k := math.Cbrt(t.wmax * (1 - cubicBeta) / cubicC)
		at := now.Sub(t.epoch).Seconds() + t.srtt.Seconds()
		want := cubicC*math.Pow(at-k, 3) + t.wmax
		// RFC 9438, section 4.3: never slower than Reno would be.
		t.cwnd += max((want-t.cwnd)/t.cwnd, 3*(1-cubicBeta)/(1+cubicBeta)/t.cwnd)
	}
}

func (t *TCP) sample(rtt time.Duration) {
	if t.srtt == 0 {
		t.srtt, t.rttvar = rtt, rtt/2
		return
	}
	t.rttvar += ((t.srtt - rtt).Abs() - t.rttvar) / 4
	t.srtt += (rtt - t.srtt) / 8
}

func (t *TCP) timeout() time.Duration {
	if t.srtt == 0 {
		return time.Second
	}
	return max(tcpFloor, t.srtt+4*t.rttvar) << min(t.backoff, 6)
}

func (t *TCP) send(now clock.Time, seq int64) {
	t.flying[seq] = now
	binary.BigEndian.PutUint64(t.buf[:], uint64(seq))
	t.data.SendSized(now, t.buf[:8], tcpSegment+tcpHeaders)
}

func (t *TCP) fill(now clock.Time) {
	for float64(len(t.flying)) < t.cwnd {
		t.send(now, t.next)
		t.next++
	}
}

// Tick starts the flow and handles its time-out; it returns its next wish.
func (t *TCP) Tick(now clock.Time) clock.Time {
	if t.stopped {
		return 0
	}
	if t.rto.IsZero() {
		t.rto = now.Add(t.timeout())
		t.fill(now)
	}
	if !now.Before(t.rto) {
		t.ssthresh, t.wmax, t.epoch = max(2, t.cwnd/2), t.cwnd, now
		t.cwnd, t.recover = 1, t.next
		t.backoff++
		t.rto = now.Add(t.timeout())
		if _, out := t.flying[t.una]; out { // it advances past what is through
			t.send(now, t.una)
		}
		t.fill(now)
	}
	return t.rto
}
