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
	"parley/internal/media/stream"
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
	sample  uint32        // every how many-th packet is opened
	turn    uint32        // packets since the last that was
	packets uint64
	bytes   uint64
	again   uint64
	probes  uint64
	told    uint64
	arrived stream.Recorder
	wide    uint8 // id of the transport-wide number, 0: not told
	buf     []byte
	seqs    [64]uint16
}

type inStream struct {
	Stream
	ssrc   uint32
	base   uint64 // packets and losses before the measured part
	lost   uint64
	nacked clock.Time
	video  bool
	nackOK bool
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

func (r *runner) subscribe(ctx context.Context, n int) (*subscriber, error) {
	s := &subscriber{ssrc: ids.Random32(), streams: map[uint32]*inStream{}}
	o, err := r.dialer.write(sdp.NewSession(uint64(ids.Random32()), ""), ice.NewCreds(), r.receive())
	if err != nil {
		return nil, err
	}
	s.asked = r.clock.Now()
	a, res, err := r.dialer.post(ctx, "whep", r.cfg.room(n, r.cfg.Subscribers), o)
	if err != nil {
		return nil, err
	}
	s.resource = res
	s.took(r, a.Media)
	s.peer, err = r.dialer.dial(o, a, r.receiving(s))
	if err != nil {
		return nil, err
	}
	return s, r.connect(ctx, s.peer)
}

// took notes what the server agreed to.
func (s *subscriber) took(r *runner, m plane.LegMedia) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.media, s.wide = m, 0
	for i := range m.Sections {
		if id := m.Sections[i].Exts[plane.ExtTransportCC]; r.cfg.Feedback && id != 0 {
			s.wide = id // one for all sections
		}
	}
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

// receiving is what a subscriber's peer is told to do with packets.
func (r *runner) receiving(s *subscriber) wire.Config {
	s.sample = uint32(r.cfg.Sample)
	c := wire.Config{OnRTP: s.onRTP, OnAge: s.onAge, OnRTCP: func(clock.Time, []byte) {}}
	if s.sample > 1 {
		c.OnSealed = s.onSealed
	}
	return c
}

// onSealed counts a packet by its header, which is not encrypted, unless it is
// one of those to be opened: every so many-th, a stream's first and what is not
// in its own place (a retransmission).
func (s *subscriber) onSealed(now clock.Time, b []byte) (open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn++; s.turn >= s.sample {
		s.turn = 0
		return true
	}
	st := s.streams[binary.BigEndian.Uint32(b[8:])] // a packet that short does not get here
	if st == nil {
		return true
	}
	if s.wide != 0 { // extensions are not encrypted either
		var h rtp.Header
		if rtp.Parse(b, &h) == rtp.OK {
			s.note(now, b, &h)
		}
	}
	if st.Add(binary.BigEndian.Uint16(b[2:])) && s.counted {
		s.packets++
		s.bytes += uint64(len(b))
	}
	return false
}

// note takes a packet's transport-wide number.
func (s *subscriber) note(now clock.Time, b []byte, h *rtp.Header) {
	if d, ok := h.Ext(b, s.wide); ok && len(d) == 2 {
		s.arrived.Record(now.Add(-s.lay), binary.BigEndian.Uint16(d)) // when the kernel had it
	}
}

func (s *subscriber) onAge(d time.Duration) { s.lay = d }

// onRTP counts one packet.
func (s *subscriber) onRTP(now clock.Time, b []byte) {
	var h rtp.Header
	if rtp.Parse(b, &h) != rtp.OK {
		return
	}
	payload := b[h.PayloadOff:h.PayloadEnd]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wide != 0 {
		s.note(now, b, &h)
	}
	if len(payload) == 0 { // padding only
		s.probed()
		return
	}
	st := s.streams[h.SSRC]
	if st != nil {
		// Known: nothing of what rtx would look through.
	} else if media, ok := s.rtx(&h); ok {
		if len(payload) < 2 {
			return
		}
		h.SSRC, h.Seq, payload = media, binary.BigEndian.Uint16(payload), payload[2:]
		s.again++
		st = s.streams[media]
	}
	if st == nil {
		st = &inStream{ssrc: h.SSRC, video: h.PayloadType >= 90 && h.PayloadType != 111}
		st.nackOK = st.video
		s.streams[h.SSRC] = st
	}
	if s.first == 0 {
		s.first = now
	}
	if !st.Add(h.Seq) {
		s.probed()
		return
	}
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

// probed counts a packet that was sent to find out what the path carries.
func (s *subscriber) probed() {
	if s.counted {
		s.probes++
	}
}

// inform tells what arrived since the last time.
func (s *subscriber) inform() {
	s.mu.Lock()
	var list [][]byte
	if s.wide != 0 {
		for more := s.arrived.Due() != 0; more; {
			var b []byte
			if b, more = s.arrived.Append(rtcp.AppendRR(nil, s.ssrc, nil), s.ssrc, 0); len(b) > 8 {
				list = append(list, b)
			}
		}
		if s.counted {
			s.told += uint64(len(list))
		}
	}
	s.mu.Unlock()
	for _, b := range list {
		_ = s.peer.SendRTCP(b) // a peer that is gone shows elsewhere
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
	s.probes, s.told = 0, 0
	for _, st := range s.streams {
		st.lost = st.Lost()
	}
}

func (s *subscriber) end(rep *Report, lat, socket *Histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted = false
	rep.PacketsIn += s.packets
	rep.PacketsLeast = min(rep.PacketsLeast, s.packets)
	rep.BytesIn += s.bytes
	rep.Retransmitted += s.again
	rep.Probes += s.probes
	rep.Feedback += s.told
	rep.Streams += len(s.streams)
	rep.Measured += s.latency.n
	lat.Merge(&s.latency)
	socket.Merge(&s.socket)
	for _, st := range s.streams {
		if l := st.Lost(); l > st.lost {
			rep.Lost += l - st.lost
		}
	}
}
