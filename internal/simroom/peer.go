package simroom

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/media/stream"
	"parley/internal/media/trace"
)

// Extension ids and payload types of peers. Those that peers send with differ
// from those they receive with, so that the server has to map.
var (
	upExts = plane.ExtIDs{plane.ExtMID: 1, plane.ExtRID: 2, plane.ExtRepairedRID: 3, plane.ExtAudioLevel: 4,
		plane.ExtTransportCC: 5, plane.ExtAbsSendTime: 8}
	downExts = plane.ExtIDs{plane.ExtMID: 9, plane.ExtAudioLevel: 7, plane.ExtTransportCC: 3, plane.ExtAbsSendTime: 2}
)

const (
	upVP8, upRTX, upOpus, upRED         = 96, 97, 109, 63
	downVP8, downRTX, downOpus, downRED = 111, 112, 100, 101
)

// Peer is one participant: one leg, which may publish and watch.
type Peer struct {
	Name     string
	Up, Down *Hop
	Pub      *Publisher
	Views    []*View
	// Quiet stops all reports and feedback of the peer, as a hung client does.
	Quiet bool
	// NoTWCC and REMB tell what the peer negotiates when it watches.
	NoTWCC bool
	Asked  struct{ PLIs, NACKs int } // of the peer as a receiver
	// OnRTP and OnRTCP are told every media packet and every compound the peer gets.
	OnRTP  func(now clock.Time, v *View, b []byte)
	OnRTCP func(b []byte)

	room     *Room
	leg      graph.LegID
	conn     ids.Connection
	media    plane.LegMedia
	rng      *rand.Rand
	ssrc     uint32 // of its reports
	skew     clock.Time
	gridAt   clock.Time
	reportAt clock.Time
	twcc     stream.Recorder
	rtt      time.Duration // measured by sender reports' answers; receivers know it from XR
	fb       []byte
	nextTWCC clock.Time
}

// Leg returns the peer's leg on the engine.
func (p *Peer) Leg() graph.LegID { return p.leg }

// TraceTo gives the leg of a peer a trace.
func (r *Room) TraceTo(p *Peer, sink trace.Sink) { r.Engine.TraceLeg(r.now, p.leg, sink) }

// Stats returns what the engine tells of the peer's leg.
func (p *Peer) Stats() (s plane.LinkStats) {
	p.room.Engine.LegStats(p.leg, &s)
	return s
}

// sendDown puts what the engine sends on the peer's downlink.
func (p *Peer) sendDown(now clock.Time, s *graph.Send, b *graph.Batch) {
	w := append([]byte(nil), b.Header(s)...)
	if s.Src != nil {
		w = append(w, s.Src.B[s.Off:s.End]...)
	}
	p.Down.send(now, w)
}

// take is the peer's end of its downlink.
func (p *Peer) take(now clock.Time, b []byte) {
	if rtcp.Mux(b) {
		if p.OnRTCP != nil {
			p.OnRTCP(b)
		}
		p.takeRTCP(now, b)
		return
	}
	p.Down.arrived(now, b)
	h, payload, ok := parse(b)
	if !ok {
		panic(fmt.Sprintf("the server sent what is no RTP: % x", b[:min(len(b), 32)]))
	}
	if p.busy(now, h.SSRC) || p.stranger(b, &h) {
		return
	}
	if d, ok := h.Ext(b, downExts[plane.ExtTransportCC]); ok && len(d) == 2 && !p.NoTWCC {
		p.twcc.Record(now+p.skew, uint16(d[0])<<8|uint16(d[1]))
	}
	for _, made := range p.Down.mended(now, b) {
		if h, payload, ok := parse(made); ok {
			for _, v := range p.Views {
				if v.ssrc == h.SSRC {
					v.packet(now, &h, h.Seq, payload, true)
				}
			}
		}
	}
	for _, v := range p.Views {
		if v.take(now, &h, payload) {
			if p.OnRTP != nil {
				p.OnRTP(now, v, b)
			}
			return
		}
	}
}

// busy reports whether the stream of an SSRC is dropped.
func (p *Peer) busy(now clock.Time, ssrc uint32) bool {
	for _, v := range p.Views {
		if v.wants.Busy > 0 && (ssrc == v.ssrc || ssrc == v.rtx) {
			if v.met == 0 {
				v.met = now
			}
			return now.Sub(v.met) < v.wants.Busy
		}
	}
	return false
}

// stranger reports whether a stream has not told yet where it belongs. A receiver
// need not know the SSRCs it was told (RFC 9143, section 9.2): Firefox drops what
// comes on one for retransmissions until a packet of it bore its MID.
func (p *Peer) stranger(b []byte, h *rtp.Header) bool {
	for _, v := range p.Views {
		told := &v.told[0]
		switch h.SSRC {
		case v.rtx:
			told = &v.told[1]
		case v.ssrc:
		default:
			continue
		}
		if mid, ok := h.Ext(b, downExts[plane.ExtMID]); ok {
			*told = string(mid) == v.sub.MID
		}
		return !*told
	}
	return false
}

func (p *Peer) takeRTCP(now clock.Time, b []byte) {
	var x rtcp.Packet
	for it := rtcp.Parse(b); it.Next(&x); {
		if s, ok := x.SenderInfo(); ok {
			ssrc, _ := x.Sender()
			for _, v := range p.Views {
				if v.ssrc == ssrc {
					v.recv.HandleSR(now+p.skew, s)
				}
			}
		}
		if p.Pub != nil {
			p.Pub.takeRTCP(now, &x)
		}
	}
}

// rtcp sends a compound to the server.
func (p *Peer) rtcp(now clock.Time, b []byte) {
	if len(b) > 0 && !p.Quiet {
		p.Up.send(now, b)
	}
}

// RTCP sends whatever a test makes up.
func (p *Peer) RTCP(b []byte) { p.Up.send(p.room.now, b) }

func (p *Peer) due() clock.Time {
	next := p.gridAt
	if p.Pub != nil {
		next = clock.Earliest(next, p.Pub.due())
	}
	return next
}

func (p *Peer) tick(now clock.Time) {
	if p.Pub != nil {
		p.Pub.tick(now)
	}
	if now < p.gridAt {
		return
	}
	p.gridAt = p.gridAt.Add(grid)
	for _, v := range p.Views {
		v.tick(now)
	}
	if due := p.twcc.Due(); due != 0 && due <= now+p.skew && now >= p.nextTWCC {
		p.feedback(now)
	}
	if now >= p.reportAt {
		// Browsers' interval, random in half to one and a half (RFC 3550, section 6.3.1).
		p.reportAt = now.Add(time.Duration(float64(time.Second) * (0.5 + p.rng.Float64())))
		p.report(now)
	}
}

func (p *Peer) feedback(now clock.Time) {
	p.nextTWCC = now.Add(50 * time.Millisecond)
	for more := true; more; {
		p.fb, more = p.twcc.Append(p.fb[:0], p.ssrc, 0)
		p.rtcp(now, p.fb)
	}
}

func (p *Peer) report(now clock.Time) {
	b := p.fb[:0]
	if p.Pub != nil {
		b = p.Pub.report(now, b)
	}
	var blocks []rtcp.Block
	for _, v := range p.Views {
		if blk, ok := v.recv.Block(now + p.skew); ok {
			blocks = append(blocks, blk)
		}
	}
	for len(blocks) > 0 || len(b) == 0 {
		n := min(len(blocks), rtcp.MaxBlocks)
		b = rtcp.AppendRR(b, p.ssrc, blocks[:n])
		blocks = blocks[n:]
	}
	b = rtcp.AppendSDES(b, p.ssrc, p.Name)
	p.rtcp(now, b)
	p.fb = b
}

// configure hands the peer's sections to the engine after a change.
func (p *Peer) configure() {
	p.media.Rev++
	m := p.media
	m.Sections = slices.Clone(m.Sections)
	p.room.Engine.ConfigureLeg(p.room.now, p.leg, m)
	p.room.fed = true
}

// Wants is what a watcher asks of the server.
type Wants struct {
	Width    int  // wanted width, 0: any
	Priority int  // higher first
	RED      bool // can take redundant audio
	FEC      bool // decodes Opus' own
	Parity   bool // can take FlexFEC-03
	Inside   bool // a part of the server: no path, so no repair and no feedback
	Slot     bool
	// Busy is how long the watcher drops a stream that is new to it, without a word,
	// as a browser does that has not made room for it yet.
	Busy time.Duration
}

// Watch subscribes to all that another peer publishes.
func (p *Peer) Watch(who *Peer, w Wants) (audio, video *View) {
	if who.Pub.Audio != nil {
		audio = p.view(who, who.Pub.Audio.track, w)
	}
	if who.Pub.Video != nil {
		video = p.view(who, who.Pub.Video.track, w)
	}
	return audio, video
}

func (p *Peer) view(who *Peer, t *track, w Wants) *View {
	r := p.room
	n := r.subs
	r.subs++
	v := &View{peer: p, Of: who, wants: w, kind: t.t.Kind, ssrc: 0x50000 + uint32(n), track: t}
	s := plane.Section{MID: fmt.Sprint("s", len(p.media.Sections)), Kind: t.t.Kind, Exts: downExts}
	c := plane.Codec{Name: "opus", PT: downOpus, ClockRate: 48000, Channels: 2, TWCC: !p.NoTWCC, Fmtp: "minptime=10;useinbandfec=1"}
	if w.RED {
		c.RED = downRED
	}
	if t.t.Kind == plane.Video {
		v.rtx = 0x60000 + uint32(n)
		c = plane.Codec{Name: "VP8", PT: downVP8, RTX: downRTX, ClockRate: 90000, NACK: true, PLI: true, FIR: true, TWCC: !p.NoTWCC, REMB: true}
	}
	if w.Inside {
		v.rtx, c.RTX, c.NACK, c.TWCC, c.REMB = 0, 0, false, false, false
	}
	if p.NoTWCC {
		s.Exts[plane.ExtTransportCC] = 0
	}
	s.Send = &plane.Send{Codecs: []plane.Codec{c}, SSRC: v.ssrc, RTXSSRC: v.rtx}
	if w.Parity && t.t.Kind == plane.Video {
		s.Send.FEC, s.Send.FECSSRC = downFEC, 0x70000+uint32(n)
		p.Down.protect(v.ssrc, s.Send.FECSSRC, &downExts)
	}
	v.init(c.ClockRate)
	p.Down.carry(v.ssrc, v.rtx, t.t.Kind == plane.Video)
	p.media.Sections = append(p.media.Sections, s)
	p.Views = append(p.Views, v)
	p.configure()
	v.sub = plane.Subscription{Conf: conf, Sub: ids.Subscription(fmt.Sprint("sub_", n)), Track: t.t.Track, Conn: p.conn, MID: s.MID,
		SSRC: v.ssrc, RTXSSRC: v.rtx, Width: w.Width, Priority: w.Priority, Slot: w.Slot}
	v.subscribe()
	return v
}

func (v *View) subscribe() {
	r := v.peer.room
	v.since = r.now
	r.Engine.Subscribe(r.now, engine.SubConfig{Sub: v.sub, Track: v.track.id, Leg: v.peer.leg}, &r.out)
	r.fed = true
}

// Change changes the wanted width and the rest of a view's subscription.
func (v *View) Change(width int, paused bool) {
	v.sub.Width, v.sub.Paused = width, paused
	v.subscribe()
}

func parse(b []byte) (h rtp.Header, payload []byte, ok bool) {
	if rtp.Parse(b, &h) != rtp.OK {
		return h, nil, false
	}
	return h, b[h.PayloadOff:h.PayloadEnd], true
}
