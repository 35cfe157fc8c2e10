package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
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

func secret(s string) ids.Secret { return ids.Secret(s) }

// kept is how many sent packets a track remembers for retransmission.
const kept = 512

// outTrack is one published layer.
type outTrack struct {
	src     *Source
	mid     string
	rid     string
	exts    plane.ExtIDs
	codec   plane.Codec
	ssrc    uint32
	rtxSSRC uint32
	seq     uint16
	rtxSeq  uint16
	audio   bool
	ring    [kept][]byte // whole plaintext packets, by sequence number
	hdrLen  [kept]uint16
	sent    uint64
	octets  uint64
	lastTS  uint32
	due     time.Duration // next frame on the run's clock
}

// publisher sends one device's tracks.
type publisher struct {
	peer     *wire.Peer
	resource string
	mu       sync.Mutex // guards tracks' sequence state: frames and NACKs come from two goroutines
	tracks   []*outTrack
	cc       uint16 // transport-wide sequence number
	packets  atomic.Uint64
	resent   atomic.Uint64
	hdr      [rtp.MaxHeader]byte
}

func (r *runner) publish(ctx context.Context, n int) (*publisher, error) {
	p := &publisher{}
	var sections []sdp.OfferSection
	add := func(kind plane.Kind, rids []string) {
		var codecs []plane.Codec // nil: all
		if kind == plane.Video && r.cfg.Codec != "" {
			codecs = slices.DeleteFunc(sdp.DefaultCodecs(kind), func(c plane.Codec) bool { return c.Name != r.cfg.Codec })
		}
		s := sdp.OfferSection{Kind: kind, Codecs: codecs, RIDs: rids, Send: &sdp.SendSource{
			SSRC: ids.Random32(), RTXSSRC: ids.Random32(), Stream: "load", Track: kind.String(), CNAME: fmt.Sprintf("load-%d", n),
		}}
		if kind == plane.Audio {
			s.Send.RTXSSRC = 0
		}
		sections = append(sections, s)
	}
	if r.cfg.Audio {
		add(plane.Audio, nil)
	}
	if r.cfg.Video {
		var rids []string
		if r.cfg.Simulcast {
			rids = []string{"q", "h", "f"}
		}
		add(plane.Video, rids)
	}
	o, err := r.dialer.write(sdp.NewSession(uint64(ids.Random32()), ""), ice.NewCreds(), sections)
	if err != nil {
		return nil, err
	}
	a, res, err := r.dialer.post(ctx, "whip", r.cfg.room(n, r.cfg.Publishers), o)
	if err != nil {
		return nil, err
	}
	p.resource = res
	if err := p.plan(r, n, o, a); err != nil {
		return nil, err
	}
	p.peer, err = r.dialer.dial(o, a, wire.Config{OnRTCP: p.onRTCP})
	if err != nil {
		return nil, err
	}
	return p, r.connect(ctx, p.peer)
}

// plan makes the tracks that the answer took.
func (p *publisher) plan(r *runner, n int, o *offered, a *sdp.Accepted) error {
	for _, sec := range a.Media.Sections {
		if sec.Send == nil || len(sec.Send.Codecs) == 0 {
			return fmt.Errorf("the server does not take section %s", sec.MID)
		}
		layers := []string{""}
		if rids := a.Simulcast[sec.MID]; len(rids) > 0 {
			layers = rids
		}
		for i, rid := range layers {
			t := &outTrack{
				mid: sec.MID, rid: rid, exts: sec.Exts, codec: sec.Send.Codecs[0], audio: sec.Kind == plane.Audio,
				ssrc: sec.Send.SSRC, rtxSSRC: sec.Send.RTXSSRC, seq: uint16(ids.Random32()),
			}
			if rid != "" {
				t.ssrc, t.rtxSSRC = ids.Random32(), 0
			}
			bps := r.cfg.VideoBPS >> (2 * (len(layers) - 1 - i))
			if t.audio {
				bps = r.cfg.AudioBPS
			}
			width := 0
			if len(layers) > 1 { // encodings of one size would be one and the same to who chooses
				width = 1280 >> (len(layers) - 1 - i)
			}
			t.src = NewSource(SourceConfig{
				Audio: t.audio, Codec: t.codec.Name, Bitrate: max(bps, 6000), FPS: r.cfg.FPS, Width: width, Seed: uint64(n*16 + i),
			})
			// Everybody began at an instant of their own, the same in every run: all at
			// once would measure the generator's own burst, evenly spread would be too kind.
			phase := rand.New(rand.NewPCG(uint64(n), uint64(len(p.tracks)))).Float64()
			t.due = time.Duration(float64(t.src.Interval()) * phase)
			p.tracks = append(p.tracks, t)
		}
	}
	return nil
}

// frame sends the next frame of t: sealed first, then sent back to back, so that
// the stamp is taken a few microseconds before the packet leaves.
func (p *publisher) frame(now clock.Time, t *outTrack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.src.Frame(int64(now), func(payload []byte, ts uint32, marker bool) {
		n := p.header(t, rtp.Fields{Marker: marker, PayloadType: t.codec.PT, Seq: t.seq, TS: ts, SSRC: t.ssrc})
		slot := t.seq % kept
		t.ring[slot] = append(append(t.ring[slot][:0], p.hdr[:n]...), payload...)
		t.hdrLen[slot] = uint16(n)
		t.lastTS = ts
		if p.peer.QueueRTP(p.hdr[:n], payload) == nil {
			p.packets.Add(1)
			t.sent++
			t.octets += uint64(len(payload))
		}
		t.seq++
	})
	_ = p.peer.Flush() // a peer that is gone shows elsewhere
}

func (p *publisher) header(t *outTrack, f rtp.Fields) int {
	var w rtp.Writer
	w.Begin(p.hdr[:], &f, false)
	w.Add(t.exts[plane.ExtMID], []byte(t.mid))
	if t.rid != "" {
		w.Add(t.exts[plane.ExtRID], []byte(t.rid))
	}
	if t.audio {
		w.Add(t.exts[plane.ExtAudioLevel], []byte{0x80 | 30})
	}
	if id := t.exts[plane.ExtTransportCC]; id != 0 {
		w.Add(id, binary.BigEndian.AppendUint16(nil, p.cc))
		p.cc++
	}
	return w.End()
}

// report sends an SR for each track (RFC 3550, section 6.4.1).
func (p *publisher) report(now clock.Time, anchor clock.Anchor) {
	p.mu.Lock()
	var b []byte
	for _, t := range p.tracks {
		if t.sent == 0 {
			continue
		}
		b = rtcp.AppendSR(b, t.ssrc, rtcp.SenderInfo{NTP: anchor.NTP(now), RTP: t.lastTS, Packets: uint32(t.sent), Octets: uint32(t.octets)}, nil)
		b = rtcp.AppendSDES(b, t.ssrc, "load")
	}
	p.mu.Unlock()
	if b != nil {
		_ = p.peer.SendRTCP(b) // a peer that is gone shows elsewhere
	}
}

// onRTCP answers NACK by sending again and PLI or FIR by a keyframe.
func (p *publisher) onRTCP(_ clock.Time, compound []byte) {
	it := rtcp.Parse(compound)
	var k rtcp.Packet
	for it.Next(&k) {
		switch {
		case k.Type == rtcp.TypeRTPFB && k.Count == rtcp.FmtNACK:
			p.resend(&k)
		case k.Type == rtcp.TypePSFB && (k.Count == rtcp.FmtPLI || k.Count == rtcp.FmtFIR):
			p.key(&k)
		}
	}
}

func (p *publisher) key(k *rtcp.Packet) {
	ssrc, _ := k.Media()
	if k.Count == rtcp.FmtFIR && k.FIRs() > 0 {
		ssrc, _ = k.FIR(0)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tracks {
		if t.ssrc == ssrc && !t.audio {
			t.src.RequestKey()
		}
	}
}

func (p *publisher) resend(k *rtcp.Packet) {
	media, _ := k.Media()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tracks {
		if t.ssrc != media {
			continue
		}
		for i := range k.NACKs() {
			pid, blp := k.NACK(i)
			for bit := range 17 {
				if bit == 0 || blp>>(bit-1)&1 == 1 {
					p.again(t, pid+uint16(bit))
				}
			}
		}
	}
}

// again repeats a packet by RTX if agreed (RFC 4588), else as it was.
func (p *publisher) again(t *outTrack, seq uint16) {
	b, n := t.ring[seq%kept], int(t.hdrLen[seq%kept])
	if len(b) == 0 || binary.BigEndian.Uint16(b[2:]) != seq {
		return
	}
	p.resent.Add(1)
	if t.codec.RTX == 0 || t.rtxSSRC == 0 {
		_ = p.peer.SendRTP(b[:n], b[n:])
		return
	}
	f := rtp.Fields{Marker: b[1]&0x80 != 0, PayloadType: t.codec.RTX, Seq: t.rtxSeq, TS: binary.BigEndian.Uint32(b[4:]), SSRC: t.rtxSSRC}
	t.rtxSeq++
	h := p.header(t, f)
	_ = p.peer.SendRTP(p.hdr[:h], append(binary.BigEndian.AppendUint16(nil, seq), b[n:]...))
}
