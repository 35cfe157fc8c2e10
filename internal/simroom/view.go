package simroom

import (
	"encoding/binary"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/media/stream"
)

// View is one source as one peer receives it.
type View struct {
	Of      *Peer
	Ear     Ear     // of audio
	Eye     Eye     // of video
	Bytes   uint64  // media and repairs as they arrived, RTP packets as a whole
	Padding uint64  // packets without payload
	Copies  int     // packets that had been received before, RTX included
	Again   int     // packets that came twice under their own number
	Order   []int64 // numbers in order of arrival, when Record
	Record  bool

	peer  *Peer
	wants Wants
	kind  plane.Kind
	sub   plane.Subscription
	track *track
	ssrc  uint32
	rtx   uint32
	since clock.Time
	told  [2]bool         // its MID: the stream, and that for retransmissions
	met   clock.Time      // first packet of a stream that is dropped at first (Wants.Busy)
	recv  stream.Receiver // for reports
	asker asker
	high  int64 // extended number
	begun bool
	seen  map[int64]bool
}

func (v *View) init(hz uint32) {
	v.recv = stream.Receiver{SSRC: v.ssrc, Clock: hz}
	v.seen = map[int64]bool{}
	v.Ear.fec = v.wants.FEC
	v.Eye.init(v)
}

// extend returns the extended form of a number.
func (v *View) extend(seq uint16) int64 {
	if !v.begun {
		return int64(seq) + 1<<16
	}
	return v.high + int64(int16(seq-uint16(v.high)))
}

// take tells whether a packet was the view's.
func (v *View) take(now clock.Time, h *rtp.Header, payload []byte) bool {
	switch h.SSRC {
	case v.ssrc:
		v.Bytes += uint64(len(payload)) + 20 + srtpTag
		v.packet(now, h, h.Seq, payload, false)
	case v.rtx:
		v.Bytes += uint64(len(payload)) + 20 + srtpTag
		if len(payload) < 2 {
			v.Padding++
			return true
		}
		v.packet(now, h, binary.BigEndian.Uint16(payload), payload[2:], true)
	default:
		return false
	}
	return true
}

func (v *View) packet(now clock.Time, h *rtp.Header, seq uint16, payload []byte, repair bool) {
	if !repair {
		v.recv.Packet(now+v.peer.skew, h.Seq, h.TS, false)
	}
	if len(payload) == 0 {
		v.Padding++
	}
	n := v.extend(seq)
	if v.Record {
		v.Order = append(v.Order, n)
	}
	if v.seen[n] {
		v.Copies++
		if !repair {
			v.Again++
		}
		return
	}
	v.seen[n] = true
	delete(v.seen, n-4096)
	if v.kind == plane.Audio {
		v.Ear.take(now, payload, h.PayloadType == downRED)
	}
	if !v.begun {
		v.begun, v.high = true, n
	}
	if v.kind == plane.Video {
		asked := v.asker.got(n)
		if n > v.high {
			v.asker.miss(now, v.high+1, n)
		}
		v.Eye.packet(now, n, h.TS, h.Marker, asked, payload)
		v.ask(now)
	}
	v.high = max(v.high, n)
}

// ask sends NACKs that are due.
func (v *View) ask(now clock.Time) {
	seqs, full := v.asker.due(now, v.peer.roundTrip())
	if len(seqs) > 0 {
		v.peer.Asked.NACKs += len(seqs)
		v.peer.rtcp(now, rtcp.AppendNACK(nil, v.peer.ssrc, v.ssrc, seqs))
	}
	if full {
		v.keyframe(now)
	}
}

func (v *View) keyframe(now clock.Time) {
	v.peer.Asked.PLIs++
	v.Eye.PLIs++
	v.peer.rtcp(now, rtcp.AppendPLI(nil, v.peer.ssrc, v.ssrc))
}

// roundTrip is what the peer knows of it; browsers learn it as receivers by XR
// or as senders, and assume 100 ms before.
func (p *Peer) roundTrip() time.Duration {
	return max(10*time.Millisecond, p.Up.Config().Delay+p.Down.Config().Delay)
}

func (v *View) tick(now clock.Time) {
	if v.kind != plane.Video {
		return
	}
	if v.asker.waiting() {
		v.ask(now)
	}
	if v.Eye.tick(now) && !v.sub.Paused {
		v.keyframe(now)
	}
}

// asker decides what to ask for again as libwebrtc's NackRequester does: at
// once when a gap shows, again each round trip, ten times at most; it looks
// every 20 ms.
type asker struct {
	list []missed
	next clock.Time
}

type missed struct {
	n     int64
	asked clock.Time
	tries int
}

const (
	askEvery = 20 * time.Millisecond
	askMost  = 10
	askList  = 1000
)

func (a *asker) waiting() bool { return len(a.list) > 0 }

// got takes a number off the list and tells whether it had been asked for.
func (a *asker) got(n int64) bool {
	for i := range a.list {
		if a.list[i].n == n {
			asked := a.list[i].tries > 0
			a.list = append(a.list[:i], a.list[i+1:]...)
			return asked
		}
	}
	return false
}

func (a *asker) miss(now clock.Time, from, to int64) {
	for n := from; n < to; n++ {
		a.list = append(a.list, missed{n: n})
	}
	if to > from {
		a.next = now
	}
}

// due returns the numbers to ask for; full tells that there were too many.
func (a *asker) due(now clock.Time, rtt time.Duration) (seqs []uint16, full bool) {
	if now < a.next {
		return nil, false
	}
	a.next = now.Add(askEvery)
	if len(a.list) > askList {
		a.list = nil
		return nil, true
	}
	keep := a.list[:0]
	for _, m := range a.list {
		if m.asked == 0 || now.Sub(m.asked) >= rtt {
			if m.tries == askMost {
				continue
			}
			m.tries++
			m.asked = now
			seqs = append(seqs, uint16(m.n))
		}
		keep = append(keep, m)
	}
	a.list = keep
	return seqs, false
}

// below forgets what is older than a number: it was given up.
func (a *asker) below(n int64) {
	for len(a.list) > 0 && a.list[0].n < n {
		a.list = a.list[1:]
	}
}
