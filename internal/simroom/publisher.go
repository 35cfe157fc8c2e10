package simroom

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/bwe"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

// Media is what a peer publishes.
type Media struct {
	NoAudio bool
	RED     bool      // audio with two older copies (RFC 2198)
	Speaks  bool      // loud; else it is silence with a noise floor
	Layers  []float64 // kbit/s of the simulcast encodings, lowest first; none: no video
	Parity  bool      // FlexFEC-03 of the only encoding
	Fixed   bool      // does not heed what its own uplink carries
	Sealed  bool      // encrypted end to end: noise behind the bytes that VP8 leaves clear
	// Sound makes the n-th payload of audio and its level. Without it payloads are
	// nothing that a decoder knows, and tell their number to an Ear.
	Sound func(n uint32) (payload []byte, level uint8)
}

// Simulcast is what a browser sends at 720p.
var Simulcast = []float64{150, 500, 1500}

// Publisher is a peer's sending half: encoders, pacer, history, feedback.
type Publisher struct {
	Audio *audioSource
	Video *videoSource
	// Keyframe requests as they came (PLI and FIR), retransmissions asked for and
	// made, layers the server wanted.
	Requests   []Request
	Nacked     int
	Resent     int
	Sheds      int // encodings that went off
	KeyBytes   uint64
	VideoBytes uint64

	peer   *Peer
	fixed  bool
	parity *protection
	noise  *rand.ChaCha8 // what a sealed payload is; nil: not sealed
	ccBWE  *bwe.Controller
	// queue waits for the pacer.
	queue  []outgoing
	paceAt clock.Time
	twSeq  uint16
	tickAt clock.Time
	rtt    time.Duration
	buf    [1500]byte
}

// Request is a request for a keyframe as the publisher saw it.
type Request struct {
	At   clock.Time
	SSRC uint32
}

// Asked returns the requests from an instant of the room on.
func (u *Publisher) Asked(from time.Duration) []Request {
	for i, q := range u.Requests {
		if q.At >= start.Add(from) {
			return u.Requests[i:]
		}
	}
	return nil
}

type track struct {
	id graph.TrackID
	t  plane.Track
}

// sender is one SSRC of a publisher.
type sender struct {
	ssrc, rtx   uint32
	mid, rid    string
	pt, rtxPT   uint8
	hz          uint32
	seq, rtxSeq uint16
	tsOff       uint32
	named       bool // a report came: MID and RID can be left out
	rtxNamed    bool // the same of its repairs, which browsers count apart
	packets     uint32
	octets      uint32
	history     [1024]kept
	lastFIR     uint8
	hasFIR      bool
}

type kept struct {
	seq    uint16
	b      []byte // payload
	ts     uint32
	marker bool
	at     clock.Time
	resent clock.Time
}

type outgoing struct {
	s       *sender
	payload []byte
	ts      uint32
	marker  bool
	osn     int // ≥ 0: a retransmission
	level   int // ≥ 0: audio level
}

// Publish lets a peer send.
func (p *Peer) Publish(m Media) *Publisher {
	r := p.room
	u := &Publisher{peer: p, fixed: m.Fixed, rtt: 100 * time.Millisecond}
	p.Pub = u
	if m.Sealed { // of a source of its own, so that all else is as without
		u.noise = rand.NewChaCha8([32]byte{byte(p.leg)})
	}
	now := r.now
	u.tickAt = now
	if !m.NoAudio {
		c := plane.Codec{Name: "opus", PT: upOpus, ClockRate: 48000, Channels: 2, TWCC: true, Fmtp: "minptime=10;useinbandfec=1"}
		if m.RED {
			c.RED = upRED
		}
		s := plane.Section{MID: "a", Kind: plane.Audio, Exts: upExts, Recv: &plane.Recv{Codecs: []plane.Codec{c}}}
		p.media.Sections = append(p.media.Sections, s)
		u.Audio = newAudioSource(p, m)
	}
	if len(m.Layers) > 0 {
		c := plane.Codec{Name: "VP8", PT: upVP8, RTX: upRTX, ClockRate: 90000, NACK: true, PLI: true, FIR: true, TWCC: true, REMB: true}
		s := plane.Section{MID: "v", Kind: plane.Video, Exts: upExts, Recv: &plane.Recv{Codecs: []plane.Codec{c}}}
		if len(m.Layers) > 1 {
			for i := range m.Layers {
				s.Recv.Layers = append(s.Recv.Layers, plane.Layer{RID: fmt.Sprint("r", i)})
			}
		}
		if m.Parity {
			s.Recv.FEC = upFEC
		}
		p.media.Sections = append(p.media.Sections, s)
		u.Video = newVideoSource(p, m)
		if m.Parity {
			u.parity = &protection{ssrc: 0xFEC00000 + uint32(p.leg)}
			p.Up.protect(u.Video.layers[0].ssrc, u.parity.ssrc, &upExts)
		}
	}
	if !u.fixed {
		u.ccBWE = bwe.New(bwe.Config{Start: 2_500_000})
		most := 0.0
		for _, k := range m.Layers {
			most += k * 1000
		}
		u.ccBWE.SetWanted(bwe.Rate(most * 1.2))
	}
	p.configure()
	if u.Audio != nil {
		u.Audio.track = p.announce("a", plane.Audio)
	}
	if u.Video != nil {
		u.Video.track = p.announce("v", plane.Video)
	}
	return u
}

func (p *Peer) announce(mid string, k plane.Kind) *track {
	r := p.room
	id := graph.TrackID(r.tracks)
	r.tracks++
	t := plane.Track{Conf: conf, Conn: p.conn, Track: ids.Track(fmt.Sprint("trk_", id)), MID: mid, Kind: k, Encrypted: p.Pub.noise != nil,
		CNAME: "alias-" + p.Name, SrcID: 0xC0000000 + uint32(id)}
	r.Engine.AddTrack(r.now, engine.TrackConfig{ID: id, Track: t, Leg: p.leg}, &r.out)
	return &track{id: id, t: t}
}

func (u *Publisher) senders() (out []*sender) {
	if u.Audio != nil {
		out = append(out, &u.Audio.sender)
	}
	if u.Video != nil {
		for i := range u.Video.layers {
			out = append(out, &u.Video.layers[i].sender)
		}
	}
	return out
}

func (u *Publisher) due() (next clock.Time) {
	if u.Audio != nil {
		next = clock.Earliest(next, u.Audio.next)
	}
	if u.Video != nil {
		next = clock.Earliest(next, u.Video.next)
	}
	if len(u.queue) > 0 {
		next = clock.Earliest(next, u.paceAt)
	}
	return next
}

func (u *Publisher) tick(now clock.Time) {
	if u.ccBWE != nil && now >= u.tickAt {
		u.tickAt = max(u.ccBWE.Tick(now), now.Add(20*time.Millisecond))
	}
	if a := u.Audio; a != nil && now >= a.next {
		a.make(now, u)
	}
	if v := u.Video; v != nil && now >= v.next {
		v.make(now, u)
	}
	u.drain(now)
}

// drain lets the pacer send in bursts of 5 ms at two and a half times the rate
// of the encoders, as browsers do; audio does not wait in it.
func (u *Publisher) drain(now clock.Time) {
	const burst = 5 * time.Millisecond
	for len(u.queue) > 0 && now >= u.paceAt {
		rate := 2.5 * u.Video.rate() * 1000
		budget := int(rate / 8 * burst.Seconds())
		for budget > 0 && len(u.queue) > 0 {
			o := &u.queue[0]
			budget -= len(o.payload) + 40
			u.write(now, o)
			u.queue = u.queue[1:]
		}
		u.paceAt = now.Add(burst)
	}
}

// write serialises one packet and puts it on the uplink.
func (u *Publisher) write(now clock.Time, o *outgoing) {
	s := o.s
	f := rtp.Fields{Marker: o.marker, PayloadType: s.pt, Seq: s.seq, TS: o.ts, SSRC: s.ssrc}
	if o.osn >= 0 {
		f.PayloadType, f.SSRC, f.Seq = s.rtxPT, s.rtx, s.rtxSeq
		s.rtxSeq++
	} else {
		k := &s.history[s.seq%uint16(len(s.history))]
		*k = kept{seq: s.seq, b: o.payload, ts: o.ts, marker: o.marker, at: now}
		s.seq++
		s.packets++
		s.octets += uint32(len(o.payload))
	}
	var w rtp.Writer
	w.Begin(u.buf[:rtp.MaxHeader], &f, false)
	if o.osn < 0 && !s.named || o.osn >= 0 && !s.rtxNamed {
		w.Add(upExts[plane.ExtMID], []byte(s.mid))
		if s.rid != "" && o.osn >= 0 {
			w.Add(upExts[plane.ExtRepairedRID], []byte(s.rid))
		} else if s.rid != "" {
			w.Add(upExts[plane.ExtRID], []byte(s.rid))
		}
	}
	if o.level >= 0 {
		w.Add(upExts[plane.ExtAudioLevel], []byte{uint8(o.level)})
	}
	var tw [2]byte
	binary.BigEndian.PutUint16(tw[:], u.twSeq)
	w.Add(upExts[plane.ExtTransportCC], tw[:])
	n := w.End()
	if o.osn >= 0 {
		binary.BigEndian.PutUint16(u.buf[n:], uint16(o.osn))
		n += 2
	}
	n += copy(u.buf[n:], o.payload)
	u.sent(now, n)
	u.peer.Up.send(now, u.buf[:n])
	if o.osn < 0 {
		u.protect(now, s, u.buf[:n], o.ts)
	}
}

// sent notes a packet for congestion control.
func (u *Publisher) sent(now clock.Time, n int) {
	if u.ccBWE != nil {
		u.ccBWE.OnSent(now, bwe.Packet{Seq: u.twSeq, Size: n + srtpTag})
	}
	u.twSeq++
}

func (u *Publisher) takeRTCP(now clock.Time, p *rtcp.Packet) {
	switch {
	case p.Type == rtcp.TypeRR || p.Type == rtcp.TypeSR:
		for i := range p.Blocks() {
			u.takeBlock(now, p.Block(i))
		}
	case p.Type == rtcp.TypeRTPFB && p.Count == rtcp.FmtNACK:
		u.takeNACK(now, p)
	case p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtPLI:
		if m, ok := p.Media(); ok {
			u.keyframe(now, m)
		}
	case p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtFIR:
		for i := range p.FIRs() {
			ssrc, seq := p.FIR(i)
			u.fir(now, ssrc, seq)
		}
	case p.Type == rtcp.TypeRTPFB && p.Count == rtcp.FmtTWCC:
		if tw, ok := p.TWCC(); ok && u.ccBWE != nil {
			u.ccBWE.OnTWCC(now, tw)
		}
	}
}

func (u *Publisher) takeBlock(now clock.Time, b rtcp.Block) {
	for _, s := range u.senders() {
		s.rtxNamed = s.rtxNamed || s.rtx != 0 && s.rtx == b.SSRC
		if s.ssrc != b.SSRC {
			continue
		}
		s.named = true
		if b.LSR != 0 {
			d := int32(uint32(u.ntp(now)>>16) - b.LSR - b.DLSR)
			if rtt := time.Duration(d) * time.Second / 65536; rtt > 0 && rtt < 5*time.Second {
				u.rtt = rtt
				if u.ccBWE != nil {
					u.ccBWE.OnRTT(rtt)
				}
			}
		}
	}
}

func (u *Publisher) ntp(now clock.Time) uint64 { return anchor.NTP(now + u.peer.skew) }

func (u *Publisher) fir(now clock.Time, ssrc uint32, seq uint8) {
	for _, s := range u.senders() {
		if s.ssrc == ssrc && (!s.hasFIR || s.lastFIR != seq) {
			s.hasFIR, s.lastFIR = true, seq
			u.keyframe(now, ssrc)
		}
	}
}

// keyframe takes a request. Browsers answer one for any encoding with pictures
// of all of them.
func (u *Publisher) keyframe(now clock.Time, ssrc uint32) {
	u.Requests = append(u.Requests, Request{now, ssrc})
	if u.Video != nil {
		u.Video.ask(now)
	}
}

func (u *Publisher) takeNACK(now clock.Time, p *rtcp.Packet) {
	m, _ := p.Media()
	for _, s := range u.senders() {
		if s.ssrc != m || s.rtx == 0 {
			continue
		}
		for i := range p.NACKs() {
			pid, blp := p.NACK(i)
			u.resend(now, s, pid)
			for b := range 16 {
				if blp&(1<<b) != 0 {
					u.resend(now, s, pid+1+uint16(b))
				}
			}
		}
	}
}

// resend answers at most once a round trip.
func (u *Publisher) resend(now clock.Time, s *sender, seq uint16) {
	u.Nacked++
	k := &s.history[seq%uint16(len(s.history))]
	if k.b == nil || k.seq != seq || (k.resent != 0 && now.Sub(k.resent) < u.rtt) {
		return
	}
	k.resent = now
	u.Resent++
	u.write(now, &outgoing{s: s, payload: k.b, ts: k.ts, marker: k.marker, osn: int(seq), level: -1})
}

// report appends sender reports.
func (u *Publisher) report(now clock.Time, b []byte) []byte {
	for _, s := range u.senders() {
		if s.packets == 0 {
			continue
		}
		b = rtcp.AppendSR(b, s.ssrc, rtcp.SenderInfo{NTP: u.ntp(now), RTP: s.stamp(now), Packets: s.packets, Octets: s.octets}, nil)
	}
	return b
}

// stamp returns the RTP time of an instant.
func (s *sender) stamp(now clock.Time) uint32 {
	return s.tsOff + uint32(uint64(now/1000)*uint64(s.hz)/1e6)
}

// heed obeys what the server says about wanted encodings, after the time its
// message takes. Browsers encode anew with one more, and do not with one less.
func (u *Publisher) heed(ev plane.Event) {
	if ev.Kind != plane.LayersWanted || u.Video == nil || ev.Track != u.Video.track.t.Track {
		return
	}
	r := u.peer.room
	r.At(r.Now()+u.peer.Down.Config().Delay+signalling, func() {
		for i := range u.Video.layers {
			u.Video.layers[i].unwant = i >= ev.Layers
		}
	})
}

// signalling is what control, a WebSocket and a page's script take beyond the path.
const signalling = 30 * time.Millisecond
