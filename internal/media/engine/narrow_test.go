package engine_test

import (
	"encoding/binary"
	"testing"
	"time"

	prtp "github.com/pion/rtp"

	"parley/internal/base/clock"
	"parley/internal/media/engine"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/stream"
	"parley/internal/simnet"
)

// narrow is a receiver behind a link, that tells what arrives as a browser does.
type narrow struct {
	p    *peer
	net  *simnet.Network
	link *simnet.Link
	back *simnet.Link
	rec  stream.Recorder
	mute bool // tells nothing
	recv map[uint32]*stream.Receiver

	report clock.Time
	bytes  int            // arrived
	wire   int            // sent to it
	delays []delay        // of media
	seen   []*prtp.Packet // arrived, headers and sizes
	pads   []*prtp.Packet
}

type delay struct {
	at, wait time.Duration
	audio    bool
}

const (
	toNarrow simnet.Endpoint = iota
	fromNarrow
)

// behind puts a receiver behind a link.
func behind(p *peer, cfg simnet.Config, steps ...simnet.Step) *narrow {
	n := &narrow{p: p, net: simnet.New(1), recv: map[uint32]*stream.Receiver{}, report: p.r.now.Add(time.Second)}
	n.link = n.net.Link(toNarrow, cfg)
	n.link.Schedule(steps...)
	n.back = n.net.Link(fromNarrow, simnet.Config{Delay: cfg.Delay})
	old := p.r.deliver
	p.r.deliver = func(to *peer, s sent) {
		switch {
		case to == p:
			n.wire += len(s.b)
			kind := byte(0)
			if s.rtcp {
				kind = 1
			}
			var at [9]byte
			at[0] = kind
			binary.BigEndian.PutUint64(at[1:], uint64(s.at))
			n.link.SendSized(s.at, append(at[:], s.b...), len(s.b)+16)
		case old != nil:
			old(to, s)
		default:
			to.got = append(to.got, s)
		}
	}
	return n
}

// step lets the millisecond's packets arrive and the receiver tell of them.
func (n *narrow) step() {
	r := n.p.r
	n.net.Deliver(r.now, func(to simnet.Endpoint, b []byte) {
		switch {
		case to == fromNarrow:
			n.p.rawRTCP(b)
		case b[0] == 1:
			n.control(b[9:])
		default:
			n.media(clock.Time(binary.BigEndian.Uint64(b[1:])), b[9:])
		}
	})
	if n.mute {
		return
	}
	if due := n.rec.Due(); due != 0 && due <= r.now {
		for more := true; more; {
			var b []byte
			b, more = n.rec.Append(rtcp.AppendRR(nil, 77, nil), 77, 1)
			n.back.Send(r.now, b)
		}
	}
	if r.now >= n.report {
		n.report = r.now.Add(time.Second)
		var blocks []rtcp.Block
		for _, x := range n.recv {
			if k, ok := x.Block(r.now); ok {
				blocks = append(blocks, k)
			}
		}
		n.back.Send(r.now, rtcp.AppendRR(nil, 77, blocks))
	}
}

func (n *narrow) control(b []byte) {
	var p rtcp.Packet
	for it := rtcp.Parse(b); it.Next(&p); {
		if s, ok := p.SenderInfo(); ok {
			ssrc, _ := p.Sender()
			if x := n.recv[ssrc]; x != nil {
				x.HandleSR(n.p.r.now, s)
			}
		}
	}
}

func (n *narrow) media(left clock.Time, b []byte) {
	r := n.p.r
	q := new(prtp.Packet)
	if err := q.Unmarshal(append([]byte(nil), b...)); err != nil {
		r.t.Fatal(err)
	}
	n.bytes += len(b)
	if d := q.GetExtension(subExts[plane.ExtTransportCC]); len(d) == 2 && !n.mute {
		n.rec.Record(r.now, binary.BigEndian.Uint16(d))
	}
	if q.PayloadType == subVP8.RTX {
		n.pads = append(n.pads, q)
		return
	}
	if n.recv[q.SSRC] == nil {
		n.recv[q.SSRC] = &stream.Receiver{SSRC: q.SSRC, Clock: 90000}
	}
	n.recv[q.SSRC].Packet(r.now, q.SequenceNumber, q.Timestamp, false)
	n.delays = append(n.delays, delay{time.Duration(r.now), r.now.Sub(left), q.PayloadType == subOpus.PT})
	n.seen = append(n.seen, q)
}

// filmer sends pictures of a rate, at 30 a second, and a key picture where one is
// asked for.
type filmer struct {
	x    *pub
	rate int
	keys int
	next clock.Time
	have int
	big  int // bytes of a key picture, 0: four times another
}

func (c *filmer) step() {
	r := c.x.p.r
	for _, s := range c.x.p.got { // requests for key pictures
		if s.rtcp {
			var p rtcp.Packet
			for it := rtcp.Parse(s.b); it.Next(&p); {
				if p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtPLI {
					c.keys++
				}
			}
		}
	}
	c.x.p.got = c.x.p.got[:0]
	if r.now < c.next {
		return
	}
	c.next = r.now.Add(33 * time.Millisecond)
	size, head := c.rate/8/30, vp8Inter
	if c.have < c.keys {
		c.have = c.keys
		if size, head = 4*size, vp8Key; c.big > 0 {
			size = c.big
		}
	}
	for first := true; size > 0; first = false {
		n := min(size, 1100)
		size -= n
		b := make([]byte, max(n, 10))
		b[0] = 0
		if first {
			copy(b, head)
		}
		c.x.send(b, size <= 0)
	}
	c.x.ts += 3000
}

// squeezed is a room with a camera, a microphone and a receiver behind a link.
type squeezed struct {
	r   *room
	e   *engine.Engine
	cam *filmer
	mic *pub
	n   *narrow
	sub plane.Subscription
	at  clock.Time // begin
}

func newSqueezed(t testing.TB, rate int, cfg simnet.Config, steps ...simnet.Step) *squeezed {
	r := newRoom(t, 1)
	p := r.publisher(0, plane.Video, plane.Audio)
	s := &squeezed{r: r, e: r.shards[0].(*engine.Engine), at: r.now}
	s.cam = &filmer{x: p.publish("0", plane.Video, 1), rate: rate, keys: 1, next: r.now}
	s.mic = p.publish("1", plane.Audio, 2)
	s.cam.x.tw, s.mic.tw = new(uint16), s.cam.x.tw
	m := plane.LegMedia{Sections: []plane.Section{
		{MID: "s0", Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subVP8}}},
		{MID: "s1", Kind: plane.Audio, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subOpus}}}}}
	v := r.join(0, m)
	for i := range steps {
		steps[i].At = r.now.Add(time.Duration(steps[i].At))
	}
	s.n = behind(v, cfg, steps...)
	s.sub = v.subscribe(s.cam.x, plane.Subscription{MID: "s0"})
	v.subscribe(s.mic, plane.Subscription{MID: "s1"})
	return s
}

// run lets time pass in milliseconds, the grain of a worker.
func (s *squeezed) run(d time.Duration, each func(at time.Duration)) {
	for end := s.r.now.Add(d); s.r.now < end; s.r.now = s.r.now.Add(time.Millisecond) {
		s.cam.step()
		if s.r.now.Sub(s.at)%(20*time.Millisecond) == 0 {
			s.mic.send(make([]byte, 80), false)
			s.mic.ts += 960
		}
		s.n.step()
		s.r.turn()
		if each != nil {
			each(s.r.now.Sub(s.at))
		}
	}
}

func (s *squeezed) estimate() float64 {
	var st plane.LinkStats
	s.e.LegStats(s.n.p.leg, &st)
	return float64(st.EstimateOut) / 1000
}
