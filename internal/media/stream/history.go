package stream

import (
	"time"

	"parley/internal/media/graph"
)

// Sizes of a history in packets, powers of two. Video: 512 is about two seconds
// at 2.5 Mbit/s, more than any receiver waits for a repair. Audio: 128 is 2.5 s
// of 20 ms packets.
const (
	videoHistory = 512
	audioHistory = 128
	// historyAge is how long a packet is worth keeping: a repair that comes later
	// is too late for a conversation. It bounds the memory of slow streams' bursts.
	historyAge = 1200 * time.Millisecond
)

// History keeps the last packets of one layer by reference, for retransmission
// to any receiver of the shard. It is allocated with the first packet.
type History struct {
	ring []graph.Packet
	size int
	tail int64 // below it all is released
}

// Put keeps a packet, dropping the one that had its place.
func (h *History) Put(p *graph.Packet) {
	if h.ring == nil {
		h.ring = make([]graph.Packet, h.size)
		h.tail = p.ExtSeq
	}
	h.age(p)
	s := &h.ring[p.ExtSeq&int64(len(h.ring)-1)]
	if s.Buf != nil {
		if s.ExtSeq > p.ExtSeq {
			return // older than what we keep
		}
		s.Buf.Release()
	}
	*s = *p
	s.Buf.Retain()
}

// age releases what has become too old by the time of p.
func (h *History) age(p *graph.Packet) {
	h.tail = max(h.tail, p.ExtSeq-int64(len(h.ring)))
	for ; h.tail < p.ExtSeq; h.tail++ {
		s := &h.ring[h.tail&int64(len(h.ring)-1)]
		if s.Buf == nil || s.ExtSeq != h.tail {
			continue
		}
		if p.Arrival.Sub(s.Arrival) < historyAge {
			return
		}
		s.Buf.Release()
		s.Buf = nil
	}
}

// Get returns the packet with this number, nil if it is gone. The result is
// valid until the next Put.
func (h *History) Get(ext int64) *graph.Packet {
	if h.ring == nil || ext < 0 {
		return nil
	}
	if s := &h.ring[ext&int64(len(h.ring)-1)]; s.Buf != nil && s.ExtSeq == ext {
		return s
	}
	return nil
}

// Clear releases everything.
func (h *History) Clear() {
	for i := range h.ring {
		if h.ring[i].Buf != nil {
			h.ring[i].Buf.Release()
		}
	}
	h.ring = nil
}
