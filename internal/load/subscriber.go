package load

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/media/sdp"
	"parley/internal/transport/ice"
	"parley/internal/worker/wire"
)

// nackAfter is how many newer packets make a gap a loss, and nackEvery the time
// between requests for the same ones.
const (
	nackAfter = 3
	nackEvery = 40 * time.Millisecond
)

// subscriber receives and counts.
type subscriber struct {
	peer     *wire.Peer
	resource string
	ws       *wsClient
	ssrc     uint32 // of its receiver reports

	mu      sync.Mutex // guards all below: packets come from the peer's goroutine, reports are read by the run's
	media   plane.LegMedia
	asked   clock.Time
	first   clock.Time
	streams map[uint32]*inStream
	latency Histogram
	socket  Histogram     // the same until the packet lay in our socket
	lay     time.Duration // how long the packet in hand had lain there; the peer's goroutine only
	counted bool          // the measured part is running
	packets uint64
	bytes   uint64
	again   uint64
	buf     []byte
	seqs    [64]uint16
}

type inStream struct {
	Stream
	ssrc    uint32
	base    uint64 // packets and losses before the measured part
	lost    uint64
	nacked  clock.Time
	video   bool
	nackOK  bool
	highest uint16
}

// receive are the sections of a subscriber's offer.
func (r *runner) receive() []sdp.OfferSection {
	n := r.cfg.Sections
	if n == 0 {
		n = max(r.cfg.Publishers, 1)
	}
	var out []sdp.OfferSection
	for range n {
		if r.cfg.Audio {
			out = append(out, sdp.OfferSection{Kind: plane.Audio, Receive: true})
		}
		if r.cfg.Video {
			out = append(out, sdp.OfferSection{Kind: plane.Video, Receive: true})
		}
	}
	return out
}

func (r *runner) subscribe(ctx context.Context, _ int) (*subscriber, error) {
	s := &subscriber{ssrc: ids.Random32(), streams: map[uint32]*inStream{}}
	o, err := r.dialer.write(sdp.NewSession(uint64(ids.Random32()), ""), ice.NewCreds(), r.receive())
	if err != nil {
		return nil, err
	}
	s.asked = r.clock.Now()
	a, res, err := r.dialer.post(ctx, "whep", o)
	if err != nil {
		return nil, err
	}
	s.resource, s.media = res, a.Media
	s.peer, err = r.dialer.dial(o, a, wire.Config{OnRTP: s.onRTP, OnAge: s.onAge, OnRTCP: func(clock.Time, []byte) {}})
	if err != nil {
		return nil, err
	}
	return s, r.connect(ctx, s.peer)
}

// rtx returns the payload's original sequence number and stream when pt is a
// retransmission of section codec.
func (s *subscriber) rtx(h *rtp.Header) (media uint32, ok bool) {
	for i := range s.media.Sections {
		rc := s.media.Sections[i].Recv
		if rc == nil {
			continue
		}
		for _, c := range rc.Codecs {
			if c.RTX == 0 || c.RTX != h.PayloadType {
				continue
			}
			for _, l := range rc.Layers {
				if l.RTXSSRC == h.SSRC {
					return l.SSRC, true
				}
			}
		}
	}
	return 0, false
}

func (s *subscriber) onAge(d time.Duration) { s.lay = d }

// onRTP counts one packet.
func (s *subscriber) onRTP(now clock.Time, b []byte) {
	var h rtp.Header
	if rtp.Parse(b, &h) != rtp.OK || h.PayloadOff == h.PayloadEnd {
		return // padding only: a probe
	}
	payload := b[h.PayloadOff:h.PayloadEnd]
	s.mu.Lock()
	defer s.mu.Unlock()
	if media, ok := s.rtx(&h); ok {
		if len(payload) < 2 {
			return
		}
		h.SSRC, h.Seq, payload = media, binary.BigEndian.Uint16(payload), payload[2:]
		s.again++
	}
	st := s.streams[h.SSRC]
	if st == nil {
		st = &inStream{ssrc: h.SSRC, video: h.PayloadType >= 90 && h.PayloadType != 111}
		st.nackOK = st.video
		s.streams[h.SSRC] = st
	}
	if s.first == 0 {
		s.first = now
	}
	if !st.Add(h.Seq) {
		return
	}
	st.highest = h.Seq
	if s.counted {
		s.packets++
		s.bytes += uint64(len(b))
		if _, sent, ok := readStamp(payload); ok {
			d := time.Duration(int64(now) - sent)
			s.latency.Add(d)
			s.socket.Add(d - s.lay)
		}
	}
}

// repair asks for what is missing; called every 20 ms.
func (s *subscriber) repair(now clock.Time) {
	s.mu.Lock()
	s.buf = s.buf[:0]
	for _, st := range s.streams {
		if !st.nackOK || st.Lost() == 0 || now.Sub(st.nacked) < nackEvery {
			continue
		}
		if n := st.Missing(s.seqs[:], nackAfter); n > 0 {
			st.nacked = now
			s.buf = rtcp.AppendRR(s.buf, s.ssrc, nil)
			s.buf = rtcp.AppendNACK(s.buf, s.ssrc, st.ssrc, s.seqs[:n])
		}
	}
	b := s.buf
	s.mu.Unlock()
	if len(b) > 0 {
		_ = s.peer.SendRTCP(b)
	}
}

// report sends a receiver report for every stream, as a browser does each second.
func (s *subscriber) report() {
	s.mu.Lock()
	var blocks []rtcp.Block
	for _, st := range s.streams {
		if len(blocks) < rtcp.MaxBlocks {
			blocks = append(blocks, rtcp.Block{SSRC: st.ssrc, Highest: uint32(st.high), Lost: int32(st.Lost())})
		}
	}
	b := rtcp.AppendRR(nil, s.ssrc, blocks)
	b = rtcp.AppendSDES(b, s.ssrc, "load")
	s.mu.Unlock()
	_ = s.peer.SendRTCP(b)
}

// begin starts the measured part; end stops it and adds what was found to rep.
func (s *subscriber) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted, s.packets, s.bytes, s.again, s.latency, s.socket = true, 0, 0, 0, Histogram{}, Histogram{}
	for _, st := range s.streams {
		st.lost = st.Lost()
	}
}

func (s *subscriber) end(rep *Report, lat, socket *Histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted = false
	rep.PacketsIn += s.packets
	rep.BytesIn += s.bytes
	rep.Retransmitted += s.again
	rep.Streams += len(s.streams)
	lat.Merge(&s.latency)
	socket.Merge(&s.socket)
	for _, st := range s.streams {
		if l := st.Lost(); l > st.lost {
			rep.Lost += l - st.lost
		}
	}
}
