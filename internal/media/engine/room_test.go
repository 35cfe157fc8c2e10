package engine_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/base/ring"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

const conf = ids.Conference("conf_1")

var anchor = clock.Anchor{Mono: clock.Time(time.Second), Unix: 1_700_000_000_000_000_000}

// room drives engines through their contract on a virtual clock: serialised
// packets in and out.
type room struct {
	t      testing.TB
	now    clock.Time
	pool   *ring.Pool
	shards []engine.API
	outs   []engine.Out
	next   []clock.Time
	peers  map[[2]int]*peer
	events []plane.Event
	rnd    *rand.Rand
	leg    int
	track  int
	sub    int
	// deliver decides the fate of what a peer is sent; nil: all arrives at once.
	deliver func(p *peer, s sent)
}

// sent is one packet a peer got.
type sent struct {
	at   clock.Time
	rtcp bool
	b    []byte
}

type peer struct {
	r     *room
	shard int
	leg   graph.LegID
	conn  ids.Connection
	got   []sent
	media plane.LegMedia
}

func newRoom(t testing.TB, shards int) *room {
	r := &room{t: t, now: clock.Time(10 * time.Second), pool: ring.NewPool(), peers: map[[2]int]*peer{}, rnd: rand.New(rand.NewPCG(1, 2))}
	for i := range shards {
		r.shards = append(r.shards, engine.New(engine.Config{Shard: engine.Shard(i), Pool: r.pool, Anchor: anchor, Random32: func() uint32 { return r.rnd.Uint32() | 1 }}))
	}
	r.outs, r.next = make([]engine.Out, shards), make([]clock.Time, shards)
	return r
}

// turn ends a turn of every shard, carrying messages between them until none is left.
func (r *room) turn() {
	for again := true; again; {
		again = false
		for i, e := range r.shards {
			o := &r.outs[i]
			e.Flush(r.now, o)
			r.next[i] = e.Tick(r.now, o)
			r.collect(i, o)
			for k := 0; k < len(o.Cross); k++ {
				x := o.Cross[k]
				r.shards[x.To].HandleCross(r.now, x, &r.outs[x.To])
				again = true
			}
			o.Cross = o.Cross[:0]
		}
	}
}

func (r *room) collect(i int, o *engine.Out) {
	for k := range o.Batch.Sends {
		s := &o.Batch.Sends[k]
		b := append([]byte(nil), o.Batch.Header(s)...)
		if s.Src != nil {
			b = append(b, s.Src.B[s.Off:s.End]...)
		}
		p := r.peers[[2]int{i, int(s.Leg)}]
		x := sent{at: r.now, rtcp: s.RTCP, b: b}
		if r.deliver != nil {
			r.deliver(p, x)
		} else {
			p.got = append(p.got, x)
		}
	}
	o.Batch.Reset()
	r.events = append(r.events, o.Events...)
	o.Events = o.Events[:0]
}

// run lets time pass, stopping at every deadline of an engine.
func (r *room) run(d time.Duration) {
	for end, n := r.now.Add(d), 0; ; n++ {
		if n > 100_000 {
			r.t.Fatal("deadlines do not move on")
		}
		r.turn()
		next := end
		for _, n := range r.next {
			if n != 0 && n < next {
				next = max(n, r.now+1)
			}
		}
		if next >= end {
			r.now = end
			r.turn()
			return
		}
		r.now = next
	}
}

// Formats as the two sides negotiated them: the server must map between them.
var (
	pubExts = plane.ExtIDs{plane.ExtMID: 1, plane.ExtRID: 2, plane.ExtRepairedRID: 3, plane.ExtAudioLevel: 4, plane.ExtTransportCC: 5, plane.ExtOrientation: 6, plane.ExtAbsSendTime: 8}
	subExts = plane.ExtIDs{plane.ExtMID: 9, plane.ExtRID: 10, plane.ExtAudioLevel: 7, plane.ExtTransportCC: 3, plane.ExtOrientation: 11, plane.ExtAbsSendTime: 2}
	pubVP8  = plane.Codec{Name: "VP8", PT: 96, RTX: 97, ClockRate: 90000, NACK: true, PLI: true, FIR: true, TWCC: true, REMB: true}
	subVP8  = plane.Codec{Name: "VP8", PT: 111, RTX: 112, ClockRate: 90000, NACK: true, PLI: true, TWCC: true}
	pubOpus = plane.Codec{Name: "opus", PT: 109, ClockRate: 48000, Channels: 2, TWCC: true}
	subOpus = plane.Codec{Name: "opus", PT: 63, ClockRate: 48000, Channels: 2, TWCC: true}
)

func (r *room) join(shard int, m plane.LegMedia) *peer {
	p := r.arrive(shard, m)
	p.ready()
	return p
}

// ready says that the peer's handshake is done.
func (p *peer) ready() { p.r.shards[p.shard].SetLegReady(p.r.now, p.leg, &p.r.outs[p.shard]) }

// arrive is a join whose handshake is still under way.
func (r *room) arrive(shard int, m plane.LegMedia) *peer {
	p := &peer{r: r, shard: shard, leg: graph.LegID(r.leg), conn: ids.Connection(fmt.Sprint("conn_", r.leg)), media: m}
	r.leg++
	r.peers[[2]int{shard, int(p.leg)}] = p
	if p.media.CNAME == "" {
		p.media.CNAME = fmt.Sprint("server-", p.leg)
	}
	e := r.shards[shard]
	e.OpenLeg(r.now, engine.LegConfig{Leg: p.leg, Conf: conf, Conn: p.conn})
	e.ConfigureLeg(r.now, p.leg, p.media)
	return p
}

// publisher joins with one section each of the given kinds, mids "0", "1", ….
func (r *room) publisher(shard int, kinds ...plane.Kind) *peer {
	return r.join(shard, pubMedia(kinds...))
}

func pubMedia(kinds ...plane.Kind) plane.LegMedia {
	var m plane.LegMedia
	for i, k := range kinds {
		c := pubVP8
		if k == plane.Audio {
			c = pubOpus
		}
		m.Sections = append(m.Sections, plane.Section{MID: fmt.Sprint(i), Kind: k, Exts: pubExts, Recv: &plane.Recv{Codecs: []plane.Codec{c}}})
	}
	return m
}

// subscriber joins with n sections of a kind, mids "s0", "s1", ….
func (r *room) subscriber(shard, n int, k plane.Kind) *peer {
	c := subVP8
	if k == plane.Audio {
		c = subOpus
	}
	var m plane.LegMedia
	for i := range n {
		m.Sections = append(m.Sections, plane.Section{MID: fmt.Sprint("s", i), Kind: k, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{c}}})
	}
	return r.join(shard, m)
}

// pub is a published track with what its sender keeps.
type pub struct {
	p       *peer
	id      graph.TrackID
	track   plane.Track
	ssrc    uint32
	seq     uint16
	ts      uint32
	pt      uint8
	tw      *uint16
	picture uint16
	noMID   bool
	ext     map[uint8][]byte
}

func (p *peer) publish(mid string, k plane.Kind, ssrc uint32) *pub {
	x := p.prepare(mid, k, ssrc)
	p.announce(x)
	return x
}

// announce makes a prepared track known.
func (p *peer) announce(x *pub) {
	p.r.shards[p.shard].AddTrack(p.r.now, engine.TrackConfig{ID: x.id, Track: x.track, Home: engine.Shard(p.shard), Leg: p.leg}, &p.r.outs[p.shard])
}

// prepare makes a track that is not announced yet.
func (p *peer) prepare(mid string, k plane.Kind, ssrc uint32) *pub {
	r := p.r
	t := plane.Track{Conf: conf, Conn: p.conn, Track: ids.Track(fmt.Sprint("trk_", r.track)), MID: mid, Kind: k, CNAME: fmt.Sprint("alias-", p.leg), SrcID: 0xC0000000 + uint32(r.track)}
	x := &pub{p: p, id: graph.TrackID(r.track), track: t, ssrc: ssrc, seq: 1000, ts: 5000, pt: pubVP8.PT, tw: new(uint16)}
	if k == plane.Audio {
		x.pt = pubOpus.PT
	}
	r.track++
	return x
}

var (
	vp8Key   = []byte{0x10, 0x00, 0x9d, 0x01, 0x2a}
	vp8Inter = []byte{0x10, 0x01, 0x00}
)

// packet serialises the publisher's next packet without sending it.
func (x *pub) packet(payload []byte, marker bool) []byte {
	h := prtp.Header{Version: 2, PayloadType: x.pt, SequenceNumber: x.seq, Timestamp: x.ts, SSRC: x.ssrc, Marker: marker}
	if !x.noMID {
		_ = h.SetExtension(pubExts[plane.ExtMID], []byte(x.track.MID))
	}
	var tw [2]byte
	binary.BigEndian.PutUint16(tw[:], *x.tw)
	*x.tw++
	_ = h.SetExtension(pubExts[plane.ExtTransportCC], tw[:])
	for id, d := range x.ext {
		_ = h.SetExtension(id, d)
	}
	x.seq++
	b, err := (&prtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		x.p.r.t.Fatal(err)
	}
	return b
}

// send puts the publisher's next packet in.
func (x *pub) send(payload []byte, marker bool) { x.p.rtp(x.packet(payload, marker)) }

// frame sends a one-packet picture and moves the timestamp on.
func (x *pub) frame(key bool) {
	b := vp8Inter
	if key {
		b = vp8Key
	}
	x.send(b, true)
	x.ts += 3000
}

func (p *peer) rtp(b []byte) {
	buf := p.r.pool.Get()
	buf.N = copy(buf.B[:], b)
	p.r.shards[p.shard].HandleRTP(p.r.now, p.leg, buf, &p.r.outs[p.shard])
	buf.Release()
}

func (p *peer) rtcp(ps ...prtcp.Packet) {
	b, err := prtcp.Marshal(append([]prtcp.Packet{&prtcp.ReceiverReport{SSRC: 77}}, ps...))
	if err != nil {
		p.r.t.Fatal(err)
	}
	p.rawRTCP(b)
}

func (p *peer) rawRTCP(b []byte) {
	p.r.shards[p.shard].HandleRTCP(p.r.now, p.leg, b, &p.r.outs[p.shard])
}

// subscribe makes the track known on the peer's shard, as the worker does, and
// subscribes.
func (p *peer) subscribe(x *pub, s plane.Subscription) plane.Subscription {
	r := p.r
	if s.Sub == "" {
		s.Sub = ids.Subscription(fmt.Sprint("sub_", r.sub))
		s.SSRC, s.RTXSSRC = 0x5000+uint32(r.sub), 0x6000+uint32(r.sub)
		r.sub++
	}
	if s.MID == "" {
		s.MID = "s0"
	}
	s.Conf, s.Conn, s.Track = conf, p.conn, x.track.Track
	if p.shard != x.p.shard {
		r.shards[p.shard].AddTrack(r.now, engine.TrackConfig{ID: x.id, Track: x.track, Remote: true, Home: engine.Shard(x.p.shard)}, &r.outs[p.shard])
		r.shards[x.p.shard].AddRemote(r.now, x.id, engine.Shard(p.shard))
	}
	r.shards[p.shard].Subscribe(r.now, engine.SubConfig{Sub: s, Track: x.id, Leg: p.leg}, &r.outs[p.shard])
	return s
}

// rtpGot parses the RTP a peer got, of one SSRC or all (0).
func (p *peer) rtpGot(ssrc uint32) (out []*prtp.Packet) {
	for _, s := range p.got {
		if s.rtcp {
			continue
		}
		q := new(prtp.Packet)
		if err := q.Unmarshal(s.b); err != nil {
			p.r.t.Fatal(err)
		}
		if ssrc == 0 || q.SSRC == ssrc {
			out = append(out, q)
		}
	}
	return out
}

// rtcpGot returns the RTCP packets of one type that a peer got.
func rtcpGot[T prtcp.Packet](p *peer) (out []T) {
	for _, s := range p.got {
		if !s.rtcp {
			continue
		}
		ps, err := prtcp.Unmarshal(s.b)
		if err != nil {
			p.r.t.Fatalf("% x: %v", s.b, err)
		}
		for _, x := range ps {
			if x, ok := x.(T); ok {
				out = append(out, x)
			}
		}
	}
	return out
}

func (p *peer) clear() { p.got = nil }

func seqs(ps []*prtp.Packet) (out []uint16) {
	for _, p := range ps {
		out = append(out, p.SequenceNumber)
	}
	return out
}
