package topology_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
	"parley/internal/media/topology"
)

var anchor = clock.Anchor{Mono: clock.Time(time.Second), Unix: 1_700_000_000_000_000_000}

// lab drives one recipe on a virtual clock: serialised packets in and out.
type lab struct {
	t    testing.TB
	now  clock.Time
	pool *ring.Pool
	el   graph.Element
	out  graph.Batch
	next clock.Time
	got  map[graph.LegID][]sent
	rnd  *rand.Rand
}

type sent struct {
	at   clock.Time
	rtcp bool
	b    []byte
}

func newLab(t testing.TB) *lab {
	return &lab{t: t, now: clock.Time(10 * time.Second), pool: ring.NewPool(), got: map[graph.LegID][]sent{}, rnd: rand.New(rand.NewPCG(3, 4))}
}

func (l *lab) env() topology.Env {
	return topology.Env{Anchor: anchor, Random32: func() uint32 { return l.rnd.Uint32() | 1 }}
}

func (l *lab) buf(b []byte) *ring.Buf {
	x := l.pool.Get()
	x.N = copy(x.B[:], b)
	return x
}

// rtp hands one packet of a track in.
func (l *lab) rtp(t graph.TrackID, b []byte) {
	l.t.Helper()
	p := graph.Packet{Buf: l.buf(b), Track: t, Arrival: l.now, Level: 127}
	if rtp.Parse(b, &p.Hdr) != rtp.OK {
		l.t.Fatal("test packet is no RTP")
	}
	p.Exts = p.Hdr.ExtMask(b)
	l.el.HandleBatch(l.now, []graph.Packet{p}, &l.out)
	p.Buf.Release()
	l.turn()
}

func (l *lab) rtcp(leg graph.LegID, ps ...prtcp.Packet) []byte {
	b, err := prtcp.Marshal(ps)
	if err != nil {
		l.t.Fatal(err)
	}
	l.compound(leg, b)
	return b
}

func (l *lab) compound(leg graph.LegID, b []byte) {
	l.el.HandleFeedback(l.now, leg, bytes.Clone(b), &l.out)
	l.turn()
}

// turn sends what there is and lets the recipe do what is due.
func (l *lab) turn() {
	l.next = l.el.Tick(l.now, &l.out)
	l.collect()
}

func (l *lab) collect() { l.take(&l.out) }

// take notes what a batch sends to whom.
func (l *lab) take(out *graph.Batch) {
	for i := range out.Sends {
		s := &out.Sends[i]
		b := bytes.Clone(out.Header(s))
		if s.Src != nil {
			b = append(b, s.Src.B[s.Off:s.End]...)
		}
		l.got[s.Leg] = append(l.got[s.Leg], sent{at: l.now, rtcp: s.RTCP, b: b})
	}
	out.Reset()
}

// run lets time pass, stopping at every deadline of the recipe.
func (l *lab) run(d time.Duration) {
	for end, n := l.now.Add(d), 0; ; n++ {
		if n > 100_000 {
			l.t.Fatal("deadlines do not move on")
		}
		l.turn()
		if l.now >= end {
			return
		}
		next := end
		if l.next != 0 && l.next < next {
			next = max(l.next, l.now+1)
		}
		l.now = next
	}
}

func (l *lab) clear() { clear(l.got) }

// media returns the RTP packets a leg got, of one SSRC (0: all).
func (l *lab) media(leg graph.LegID, ssrc uint32) (ps []*prtp.Packet) {
	l.t.Helper()
	for _, s := range l.got[leg] {
		p := &prtp.Packet{}
		if s.rtcp {
			continue
		}
		if err := p.Unmarshal(s.b); err != nil {
			l.t.Fatal(err)
		}
		if ssrc == 0 || p.SSRC == ssrc {
			ps = append(ps, p)
		}
	}
	return ps
}

// control returns the RTCP packets of one type that a leg got.
func control[T prtcp.Packet](l *lab, leg graph.LegID) (ps []T) {
	l.t.Helper()
	for _, s := range l.got[leg] {
		if !s.rtcp {
			continue
		}
		qs, err := prtcp.Unmarshal(s.b)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, q := range qs {
			if x, ok := q.(T); ok {
				ps = append(ps, x)
			}
		}
	}
	return ps
}

// cam is a publisher's stream.
type cam struct {
	track graph.TrackID
	ssrc  uint32
	seq   uint16
	ts    uint32
	pt    uint8
	csrc  []uint32
}

func (c *cam) packet(payload []byte, marker bool) []byte {
	p := prtp.Packet{Header: prtp.Header{Version: 2, Marker: marker, PayloadType: c.pt, SequenceNumber: c.seq, Timestamp: c.ts, SSRC: c.ssrc, CSRC: c.csrc}, Payload: payload}
	c.seq++
	b, err := p.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

var (
	vp8Key   = []byte{0x10, 0x00, 0x9d, 0x01, 0x2a, 1, 2, 3}
	vp8Inter = []byte{0x10, 0x01, 4, 5, 6}
)

// frame makes a picture of one packet, 30 a second.
func (c *cam) frame(key bool) []byte {
	pl := vp8Inter
	if key {
		pl = vp8Key
	}
	b := c.packet(binary.BigEndian.AppendUint16(bytes.Clone(pl), c.seq), true)
	c.ts += 3000
	return b
}

const frameTime = time.Second / 30

func vp8(pt, rtx uint8) plane.Codec {
	return plane.Codec{Name: "VP8", PT: pt, ClockRate: 90000, RTX: rtx, NACK: true, PLI: true, FIR: true}
}
