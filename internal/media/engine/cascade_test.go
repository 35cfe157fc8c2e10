package engine_test

import (
	"fmt"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/plane"
)

// cluster is three nodes, an engine each, joined by relay legs in a full mesh.
// Unlike shards they share nothing: what one knows of another came as packets.
type cluster struct {
	*room
	legs map[[2]int]*peer // of node i towards node j
	twin map[*peer]*peer
	wire []parcel
	lose func(from *peer, b []byte) bool
	sent map[*peer]int // RTP packets put on a relay leg
	rtx  map[*peer]int
	n    int
}

// parcel is a packet on its way between nodes.
type parcel struct {
	at clock.Time
	to *peer
	s  sent
}

// hopDelay is the way from node to node.
const hopDelay = 15 * time.Millisecond

func newCluster(t testing.TB) *cluster {
	c := &cluster{room: newRoom(t, 3), legs: map[[2]int]*peer{}, twin: map[*peer]*peer{}, sent: map[*peer]int{}, rtx: map[*peer]int{}}
	for i := range 3 {
		for j := range 3 {
			if i != j {
				c.legs[[2]int{i, j}] = c.join(i, plane.LegMedia{RTCPRsize: true, CNAME: fmt.Sprint("node-", i)})
			}
		}
	}
	for k, p := range c.legs {
		c.twin[p] = c.legs[[2]int{k[1], k[0]}]
	}
	c.deliver = func(p *peer, s sent) {
		p.got = append(p.got, s)
		to := c.twin[p]
		if to == nil {
			return
		}
		if !s.rtcp {
			if c.sent[p]++; s.b[1]&0x7f == hopVP8.RTX {
				c.rtx[p]++
			}
			if c.lose != nil && c.lose(p, s.b) {
				return
			}
		}
		c.wire = append(c.wire, parcel{c.now.Add(hopDelay), to, s})
	}
	return c
}

var hopVP8 = plane.Codec{Name: "VP8", PT: 100, RTX: 101, ClockRate: 90000, NACK: true, PLI: true, TMMBR: true}

// let time pass, a millisecond at a time.
func (c *cluster) let(d time.Duration) {
	for end := c.now.Add(d); c.now < end; {
		for len(c.wire) > 0 && c.wire[0].at <= c.now {
			x := c.wire[0]
			c.wire = c.wire[1:]
			if x.s.rtcp {
				x.to.rawRTCP(x.s.b)
			} else {
				x.to.rtp(x.s.b)
			}
		}
		c.run(time.Millisecond)
	}
}

// spread makes a track known on the other nodes: each gets one stream of it over
// its relay leg and offers it to its own viewers. Only who is at home spreads
// (split horizon). The result is the track as each node has it.
func (c *cluster) spread(x *pub) (at [3]*pub) {
	home := x.p.shard
	at[home] = x
	for j := range 3 {
		if j == home {
			continue
		}
		out, in := c.legs[[2]int{home, j}], c.legs[[2]int{j, home}]
		ssrc := c.carry(x, out, in)
		y := in.prepare(c.mid(), plane.Video, ssrc)
		y.track.CNAME, y.track.SrcID = x.track.CNAME, x.track.SrcID
		c.shards[j].AddTrack(c.now, engine.TrackConfig{ID: y.id, Track: y.track, Home: engine.Shard(j), Leg: in.leg}, &c.outs[j])
		at[j] = y
	}
	return at
}

func (c *cluster) mid() string { return fmt.Sprint("r", c.n) }

// carry puts a track on a relay leg in a section of its own.
func (c *cluster) carry(x *pub, out, in *peer) (ssrc uint32) {
	c.n++
	ssrc = uint32(0x9000 + 16*c.n)
	exts := plane.ExtIDs{plane.ExtMID: 1}
	out.media.Sections = append(out.media.Sections, plane.Section{MID: c.mid(), Kind: plane.Video, Exts: exts, Send: &plane.Send{Codecs: []plane.Codec{hopVP8}}})
	in.media.Sections = append(in.media.Sections, plane.Section{MID: c.mid(), Kind: plane.Video, Exts: exts, Recv: &plane.Recv{Codecs: []plane.Codec{hopVP8}, Layers: []plane.Layer{{SSRC: ssrc, RTXSSRC: ssrc + 1}}}})
	for _, p := range []*peer{out, in} {
		c.shards[p.shard].ConfigureLeg(c.now, p.leg, p.media)
	}
	out.subscribe(x, plane.Subscription{Sub: ids.Subscription("relay-" + c.mid()), SSRC: ssrc, RTXSSRC: ssrc + 1, MID: c.mid()})
	return ssrc
}

// gapFree checks that a viewer got n packets, numbered one after another.
func gapFree(t *testing.T, ps []*prtp.Packet, n int) {
	t.Helper()
	seen := map[uint16]bool{}
	for _, p := range ps {
		if p.PayloadType == subVP8.PT {
			if seen[p.SequenceNumber] {
				t.Fatalf("number %d twice", p.SequenceNumber)
			}
			seen[p.SequenceNumber] = true
		}
	}
	if len(seen) != n {
		t.Fatalf("%d of %d packets", len(seen), n)
	}
}

// TestCMB4_FullMeshOnceEach: a packet from one node arrives once at each endpoint.
func TestCMB4_FullMeshOnceEach(t *testing.T) {
	c := newCluster(t)
	a := c.publisher(0, plane.Video).publish("0", plane.Video, 0xA1)
	b := c.publisher(1, plane.Video).publish("0", plane.Video, 0xB1)
	as, bs := c.spread(a), c.spread(b)
	var vs []*peer
	for node := range 3 {
		for range 2 {
			v := c.subscriber(node, 2, plane.Video)
			v.subscribe(as[node], plane.Subscription{})
			v.subscribe(bs[node], plane.Subscription{MID: "s1"})
			vs = append(vs, v)
		}
	}
	c.let(100 * time.Millisecond)
	const n = 10_000
	for i := range n {
		for _, x := range []*pub{a, b} {
			x.send(map[bool][]byte{true: vp8Key, false: vp8Inter}[i == 0], true)
			x.ts += 90
		}
		c.let(time.Millisecond)
	}
	c.let(100 * time.Millisecond)
	for _, v := range vs {
		by := map[uint32][]*prtp.Packet{}
		for _, p := range v.rtpGot(0) {
			by[p.SSRC] = append(by[p.SSRC], p)
		}
		if len(by) != 2 {
			t.Fatalf("%d streams", len(by))
		}
		for _, ps := range by {
			gapFree(t, ps, n)
			if d := ps[n-1].SequenceNumber - ps[0].SequenceNumber; d != uint16((n-1)&0xffff) {
				t.Fatalf("numbers run to +%d", d)
			}
		}
	}
}

// TestCMB6_OneCopyAndRest: four viewers, one copy over the hop; none left, and the
// stream stops within five seconds; one back, and it flows from a keyframe.
func TestCMB6_OneCopyAndRest(t *testing.T) {
	c := newCluster(t)
	a := c.publisher(0, plane.Video).publish("0", plane.Video, 0xA1)
	as := c.spread(a)
	hop, idle := c.legs[[2]int{0, 1}], c.legs[[2]int{0, 2}]
	var vs []*peer
	var subs []plane.Subscription
	for range 4 {
		v := c.subscriber(1, 1, plane.Video)
		subs = append(subs, v.subscribe(as[1], plane.Subscription{}))
		vs = append(vs, v)
	}
	local := c.subscriber(0, 1, plane.Video)
	local.subscribe(a, plane.Subscription{})
	play := func(d time.Duration) {
		for end := c.now.Add(d); c.now < end; {
			asked := len(rtcpGot[*prtcp.PictureLossIndication](a.p)) > 0
			a.p.clear()
			a.frame(asked || a.seq == 1000)
			c.let(33 * time.Millisecond)
		}
	}
	play(3 * time.Second)
	for _, v := range vs {
		gapFree(t, v.rtpGot(0), 91)
	}
	if c.sent[hop] != 91 {
		t.Fatalf("%d packets over the hop", c.sent[hop])
	}
	// Nobody looks on node 2: its stream has stopped by now.
	for i, v := range vs {
		c.shards[1].Unsubscribe(c.now, subs[i].Sub, &c.outs[1])
		v.clear()
	}
	play(5 * time.Second)
	clear(c.sent)
	play(40 * time.Second) // also when it has timed out
	if c.sent[hop] != 0 || c.sent[idle] != 0 {
		t.Fatalf("%d and %d packets for nobody", c.sent[hop], c.sent[idle])
	}
	if n := len(local.rtpGot(0)); n < 1400 {
		t.Fatalf("who looks on at home got %d", n)
	}
	v := c.subscriber(1, 1, plane.Video)
	v.subscribe(as[1], plane.Subscription{})
	play(time.Second)
	ps := v.rtpGot(0)
	if len(ps) < 25 || ps[0].Payload[1]&1 != 0 {
		t.Fatalf("%d packets after coming back", len(ps))
	}
}

// TestCMB7_LossIsTheHops: what the relay leg loses it repairs; the publisher
// hears nothing of it, and viewers' numbers have no gap.
func TestCMB7_LossIsTheHops(t *testing.T) {
	c := newCluster(t)
	a := c.publisher(0, plane.Video).publish("0", plane.Video, 0xA1)
	as := c.spread(a)
	hop, back := c.legs[[2]int{0, 1}], c.legs[[2]int{1, 0}]
	v := c.subscriber(1, 1, plane.Video)
	v.subscribe(as[1], plane.Subscription{})
	k := 0
	c.lose = func(p *peer, b []byte) bool {
		k++
		return p == hop && b[1]&0x7f == hopVP8.PT && k%20 == 7
	}
	for i := range 600 {
		a.frame(i == 0)
		c.let(10 * time.Millisecond)
	}
	c.let(time.Second)
	gapFree(t, v.rtpGot(0), 600)
	if n := len(rtcpGot[*prtcp.TransportLayerNack](a.p)); n != 0 {
		t.Fatalf("the publisher got %d NACKs", n)
	}
	if n := len(rtcpGot[*prtcp.TransportLayerNack](back)); n < 20 || c.rtx[hop] < 20 {
		t.Fatalf("%d NACKs, %d repairs on the hop", n, c.rtx[hop])
	}
	worst := func(p *peer) (f uint8) {
		for _, rr := range rtcpGot[*prtcp.ReceiverReport](p) {
			for _, b := range rr.Reports {
				f = max(f, b.FractionLost)
			}
		}
		return f
	}
	if worst(a.p) != 0 || worst(back) < 5 {
		t.Fatalf("reported loss %d to the publisher, %d on the hop", worst(a.p), worst(back))
	}
}

// TestCMB8_KeyframeRequestsAreCoalescedPerHop: fifty who ask without pause reach
// the origin as one request in half a second at most.
func TestCMB8_KeyframeRequestsAreCoalescedPerHop(t *testing.T) {
	c := newCluster(t)
	a := c.publisher(0, plane.Video).publish("0", plane.Video, 0xA1)
	as := c.spread(a)
	// Two hops: node 1 passes what it gets on to node 2, which hears nothing else.
	out, in := c.legs[[2]int{1, 2}], c.legs[[2]int{2, 1}]
	ssrc := c.carry(as[1], out, in)
	far := in.prepare(c.mid(), plane.Video, ssrc)
	c.shards[2].AddTrack(c.now, engine.TrackConfig{ID: far.id, Track: far.track, Home: 2, Leg: in.leg}, &c.outs[2])
	var vs []*peer
	var subs []plane.Subscription
	for range 50 {
		v := c.subscriber(2, 1, plane.Video)
		subs = append(subs, v.subscribe(far, plane.Subscription{}))
		vs = append(vs, v)
	}
	for i := range 30 {
		a.frame(i == 0)
		c.let(33 * time.Millisecond)
	}
	a.p.clear()
	start := c.now
	for c.now.Sub(start) < 3*time.Second {
		for i, v := range vs {
			v.rtcp(&prtcp.PictureLossIndication{SenderSSRC: 9, MediaSSRC: subs[i].SSRC})
		}
		a.frame(false)
		c.let(33 * time.Millisecond)
	}
	var last clock.Time
	n := 0
	for _, s := range a.p.got {
		if !s.rtcp {
			continue
		}
		ps, err := prtcp.Unmarshal(s.b)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range ps {
			if _, ok := q.(*prtcp.PictureLossIndication); ok {
				if n++; last != 0 && s.at.Sub(last) < 500*time.Millisecond {
					t.Fatalf("requests %v apart", s.at.Sub(last))
				}
				last = s.at
			}
		}
	}
	if n < 2 || n > 7 {
		t.Fatalf("%d requests", n)
	}
}

// TestCMB9_ARelayThatRestarts: new SSRCs on the hop, nothing of it downstream.
func TestCMB9_ARelayThatRestarts(t *testing.T) {
	c := newCluster(t)
	a := c.publisher(0, plane.Video).publish("0", plane.Video, 0xA1)
	as := c.spread(a)
	v := c.subscriber(1, 1, plane.Video)
	s := v.subscribe(as[1], plane.Subscription{})
	play := func(frames int) {
		for range frames {
			asked := len(rtcpGot[*prtcp.PictureLossIndication](a.p)) > 0
			a.p.clear()
			a.frame(asked || a.seq == 1000)
			c.let(33 * time.Millisecond)
		}
	}
	play(60)
	out, in := c.legs[[2]int{0, 1}], c.legs[[2]int{1, 0}]
	old := ids.Subscription("relay-" + out.media.Sections[0].MID)
	c.shards[0].Unsubscribe(c.now, old, &c.outs[0])
	fresh := uint32(0x7000_0001)
	in.media.Sections[0].Recv.Layers[0] = plane.Layer{SSRC: fresh, RTXSSRC: fresh + 1}
	c.shards[1].ConfigureLeg(c.now, in.leg, in.media)
	out.subscribe(a, plane.Subscription{Sub: "relay-again", SSRC: fresh, RTXSSRC: fresh + 1, MID: out.media.Sections[0].MID})
	play(60)
	ps := v.rtpGot(0)
	if len(ps) < 110 {
		t.Fatalf("%d packets", len(ps))
	}
	for i, p := range ps {
		if p.SSRC != s.SSRC {
			t.Fatalf("SSRC %x", p.SSRC)
		}
		if i == 0 {
			continue
		}
		if p.SequenceNumber != ps[i-1].SequenceNumber+1 {
			t.Fatalf("number %d after %d", p.SequenceNumber, ps[i-1].SequenceNumber)
		}
		// A frame's time, and at the restart the time that passed, within one frame.
		if d := int32(p.Timestamp - ps[i-1].Timestamp); d <= 0 || d > 5*3000 {
			t.Fatalf("timestamp +%d", d)
		}
	}
	if g := rtcpGot[*prtcp.Goodbye](v); len(g) != 0 {
		t.Fatalf("%v", g)
	}
	for _, e := range c.events {
		if e.Kind == plane.TrackEnded {
			t.Fatal("the track ended")
		}
	}
}

// TestRTM6_TwoMCUsDoNotHowl: two MCUs dialled into each other, either showing
// the other whoever its control names, its own stream included: nothing comes
// back to where it was said, and no packet arrives twice, in five seconds.
func TestRTM6_TwoMCUsDoNotHowl(t *testing.T) {
	c := newCluster(t)
	var at [2]*pub  // who speaks at either
	var hop [2]*pub // the other MCU as either has it
	var ears [2]*peer
	var subs [2]plane.Subscription
	for i := range 2 {
		at[i] = c.publisher(i, plane.Audio).publish("0", plane.Audio, uint32(0xA0+i))
		p := c.legs[[2]int{i, 1 - i}]
		p.media.Sections = []plane.Section{{MID: "0", Kind: plane.Audio, Recv: &plane.Recv{Codecs: []plane.Codec{pubOpus}}, Send: &plane.Send{Codecs: []plane.Codec{pubOpus}}}}
		c.shards[i].ConfigureLeg(c.now, p.leg, p.media)
		hop[i] = p.publish("0", plane.Audio, 0)
		subs[i] = p.subscribe(at[i], plane.Subscription{Slot: true, Anonymous: true, MID: "0"})
		ears[i] = c.subscriber(i, 1, plane.Audio)
		ears[i].subscribe(hop[i], plane.Subscription{Slot: true, Anonymous: true})
	}
	said := 0
	for c.now < clock.Time(15*time.Second) {
		for i := range 2 {
			at[i].send([]byte(fmt.Sprint("speaker ", i, " says ", said)), false)
			at[i].ts += 960
		}
		said++
		if said%50 == 0 { // the loudest on either is the other: "show him"
			for i := range 2 {
				c.legs[[2]int{i, 1 - i}].subscribe(hop[i], subs[i])
			}
		}
		c.let(20 * time.Millisecond)
	}
	for i := range 2 {
		heard := map[string]int{}
		for _, q := range ears[i].rtpGot(0) {
			heard[string(q.Payload)]++
		}
		for text, n := range heard {
			if n > 1 || text[:9] == fmt.Sprint("speaker ", i) {
				t.Fatalf("%q heard %d times at %d", text, n, i)
			}
		}
		if len(heard) < said-10 {
			t.Fatalf("%d of %d heard", len(heard), said)
		}
	}
}
