package simroom

import (
	"encoding/binary"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/simnet"
)

// Hop is one direction between a peer and the server, with a book of what was
// lost on it and when it was repaired.
type Hop struct {
	*simnet.Link
	RTP, RTX, RTCP, Bytes uint64 // sent; RTX is not among RTP
	RTXBytes, VideoBytes  uint64
	Waits                 []Wait // of each RTP packet, in the limiter's queue
	KeepWaits             bool
	Twice                 int // packets sent again under their own SSRC and number

	sent map[numbered]bool // lately

	video map[uint32]bool
	rtx   map[uint32]uint32 // RTX SSRC -> media SSRC
	lost  map[numbered]*Loss
	book  []*Loss

	menders []*mender
	FEC     uint64 // parity packets sent
}

// Wait is how long one packet would stand in the queue.
type Wait struct {
	At    clock.Time
	Queue time.Duration
}

// Loss is a media packet that a hop lost.
type Loss struct {
	Video    bool
	Due      clock.Time // when it would have arrived
	Repaired clock.Time // zero: never
}

type numbered struct {
	ssrc uint32
	seq  uint16
}

func newHop(l *simnet.Link) *Hop {
	return &Hop{Link: l, sent: map[numbered]bool{}, video: map[uint32]bool{}, rtx: map[uint32]uint32{}, lost: map[numbered]*Loss{}}
}

// carry tells which SSRCs are video and which repair which.
func (h *Hop) carry(ssrc, rtx uint32, video bool) {
	h.video[ssrc] = video
	if rtx != 0 {
		h.rtx[rtx] = ssrc
	}
}

// protect tells of parity.
func (h *Hop) protect(media, parity uint32, ids *plane.ExtIDs) {
	h.menders = append(h.menders, newMender(media, parity, ids))
}

// mended returns what of the packets lost a new one and parity make.
func (h *Hop) mended(now clock.Time, b []byte) (out [][]byte) {
	for _, m := range h.menders {
		for _, made := range m.take(b) {
			h.close(now, numbered{m.media, binary.BigEndian.Uint16(made[2:])})
			out = append(out, made)
		}
	}
	return out
}

// close notes that a lost packet is there.
func (h *Hop) close(now clock.Time, key numbered) {
	if l := h.lost[key]; l != nil && now.Sub(l.Due) < 5*time.Second {
		l.Repaired = now
		delete(h.lost, key)
	}
}

// send puts one packet on the link and notes its loss.
func (h *Hop) send(now clock.Time, b []byte) {
	size := len(b) + srtpTag
	h.Bytes += uint64(size)
	if rtcp.Mux(b) {
		h.RTCP++
		h.SendSized(now, b, size)
		return
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	h.once(numbered{ssrc, binary.BigEndian.Uint16(b[2:])})
	_, isRTX := h.rtx[ssrc]
	for _, m := range h.menders {
		if m.parity == ssrc {
			h.FEC++
		}
	}
	if isRTX {
		h.RTX++
		h.RTXBytes += uint64(size)
	} else {
		h.RTP++
	}
	wait := h.Waiting(now)
	if h.KeepWaits {
		h.Waits = append(h.Waits, Wait{now, wait})
	}
	was := h.Stats()
	h.SendSized(now, b, size)
	is := h.Stats()
	if isRTX {
		return
	}
	if h.video[ssrc] {
		h.VideoBytes += uint64(size)
	}
	if is.Lost+is.Overflowed > was.Lost+was.Overflowed {
		l := &Loss{Video: h.video[ssrc], Due: now.Add(wait + h.Config().Delay)}
		h.lost[numbered{ssrc, binary.BigEndian.Uint16(b[2:])}] = l
		h.book = append(h.book, l)
	}
}

// once counts what is sent twice under one number.
func (h *Hop) once(n numbered) {
	if h.sent[n] {
		h.Twice++
	}
	h.sent[n] = true
	delete(h.sent, numbered{n.ssrc, n.seq - 1<<14})
}

// arrived is told every RTP packet that came through and closes what it repairs.
func (h *Hop) arrived(now clock.Time, b []byte) {
	if len(b) < 12 {
		return
	}
	main, ok := h.rtx[binary.BigEndian.Uint32(b[8:])]
	if !ok {
		return
	}
	_, payload, ok := parse(b)
	if !ok || len(payload) < 2 {
		return
	}
	h.close(now, numbered{main, binary.BigEndian.Uint16(payload)})
}

// Repairs sums up a book of losses.
type Repairs struct {
	Lost, InTime int
	Ratio        float64       // repaired within the deadline
	First        time.Duration // median from when it would have arrived to the repair
}

// repairDeadline is how late a packet of a picture may come and still be shown.
const repairDeadline = 400 * time.Millisecond

// Repairs tells what became of the video packets lost between two instants of
// the room.
func (h *Hop) Repairs(from, to time.Duration) Repairs {
	var s Repairs
	var took []time.Duration
	for _, l := range h.book {
		if !l.Video || l.Due < start.Add(from) || l.Due >= start.Add(to) {
			continue
		}
		s.Lost++
		if l.Repaired == 0 {
			continue
		}
		d := l.Repaired.Sub(l.Due)
		took = append(took, d)
		if d <= repairDeadline {
			s.InTime++
		}
	}
	s.Ratio = 1
	if s.Lost > 0 {
		s.Ratio = float64(s.InTime) / float64(s.Lost)
	}
	if len(took) > 0 {
		slices.Sort(took)
		s.First = took[len(took)/2]
	}
	return s
}

// QueueP95 returns the 95th percentile of the waits for which in is true.
func (h *Hop) QueueP95(in func(at time.Duration) bool) time.Duration {
	var w []time.Duration
	for _, x := range h.Waits {
		if in(x.At.Sub(start)) {
			w = append(w, x.Queue)
		}
	}
	if len(w) == 0 {
		return 0
	}
	slices.Sort(w)
	return w[len(w)*95/100]
}
