package worker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// box is the far end of a plain session: two sockets.
type box struct {
	t         *testing.T
	conn      ids.Connection
	rtp, rtcp *net.UDPConn
	got, rcv  chan []byte
	local     plane.LocalRTP
	seq       uint16
	said      uint64
}

func newBox(t *testing.T, conn ids.Connection) *box {
	t.Helper()
	b := &box{t: t, conn: conn, got: make(chan []byte, 1<<14), rcv: make(chan []byte, 1<<14)}
	b.rtp, b.rtcp = newSocket(t, "127.0.0.1", b.got), newSocket(t, "127.0.0.1", b.rcv)
	return b
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// pcmu is what a phone speaks.
func pcmu() []plane.Codec {
	return []plane.Codec{{Name: "PCMU", PT: 0, ClockRate: 8000}, {Name: plane.TelephoneEvent, PT: 101, ClockRate: 8000}, {Name: plane.ComfortNoise, PT: 13, ClockRate: 8000}}
}

// phoneMedia is a phone's section as the answer would have it.
func phoneMedia(mid, cname string, ssrc uint32) plane.LegMedia {
	return plane.LegMedia{Rev: 1, CNAME: cname, RTCPMin: 5 * time.Second, RTCPRate: 400, Sections: []plane.Section{{
		MID: mid, Kind: plane.Audio, Recv: &plane.Recv{Codecs: pcmu()}, Send: &plane.Send{Codecs: pcmu(), SSRC: ssrc},
	}}}
}

// plainRig is a pool with ports for plain sessions and the real engine.
func plainRig(t *testing.T, lo uint16) *rig {
	return newRig(t, func(c *Config) {
		c.NewEngine = nil
		c.RTPPorts = PortRange{lo, lo + 19}
	})
}

func (b *box) open(r *rig, change func(*plane.OpenRTP)) {
	b.t.Helper()
	o := plane.OpenRTP{Conf: "conf_test", Conn: b.conn, Kind: plane.Audio, Remote: addrOf(b.rtp), RTCP: addrOf(b.rtcp), Latch: true}
	if change != nil {
		change(&o)
	}
	var err error
	if b.local, err = r.OpenRTP(o); err != nil {
		b.t.Fatal(err)
	}
	r.sink.wait(b.t, b.conn, plane.LinkConnected)
}

// say sends one packet of PCMU.
func (b *box) say(ssrc uint32, payload string) {
	b.seq++
	h := make([]byte, 12, 64)
	h[0] = 0x80
	binary.BigEndian.PutUint16(h[2:], b.seq)
	binary.BigEndian.PutUint32(h[4:], uint32(b.seq)*160)
	binary.BigEndian.PutUint32(h[8:], ssrc)
	_, _ = b.rtp.WriteToUDPAddrPort(append(h, payload...), b.local.RTP)
	b.said++
}

// arrived waits until the shard has taken all that was said: the virtual clock
// must not run ahead of the loopback.
func (b *box) arrived(r *rig) {
	b.t.Helper()
	waitFor(b.t, "packets to arrive", func() bool {
		s, ok := r.Stats(b.conn)
		return ok && s.PacketsIn >= b.said
	})
}

// endMark tells apart what came before it.
var endMark = []byte("end of what was sent so far")

// came returns what was sent to one of the box's sockets until now. Loopback
// keeps the order, so a mark behind it all tells.
func (b *box) came(conn *net.UDPConn, c chan []byte) (out [][]byte) {
	b.t.Helper()
	if _, err := b.rtp.WriteToUDPAddrPort(endMark, addrOf(conn)); err != nil {
		b.t.Fatal(err)
	}
	for {
		p := b.next(c, "the mark")
		if bytes.Equal(p, endMark) {
			return out
		}
		out = append(out, p)
	}
}

func (b *box) next(c chan []byte, what string) []byte {
	b.t.Helper()
	select {
	case p := <-c:
		return p
	case <-time.After(patience):
		b.t.Fatalf("%s did not come", what)
	}
	return nil
}

// pair is two phones that hear each other by slots.
func pair(t *testing.T, lo uint16) (*rig, *box, *box) {
	t.Helper()
	r := plainRig(t, lo)
	a, b := newBox(t, "conn_a"), newBox(t, "conn_b")
	a.open(r, nil)
	b.open(r, nil)
	for _, err := range []error{
		r.Configure("conn_a", phoneMedia("0", "for-a", 0xA0A0)), r.Configure("conn_b", phoneMedia("0", "for-b", 0xB0B0)),
		r.Publish(plane.Track{Conf: "conf_test", Conn: "conn_a", Track: "trk_a", MID: "0", Kind: plane.Audio, CNAME: "alias-a", SrcID: 1}),
		r.Publish(plane.Track{Conf: "conf_test", Conn: "conn_b", Track: "trk_b", MID: "0", Kind: plane.Audio, CNAME: "alias-b", SrcID: 2}),
		r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: "sub_a", Track: "trk_b", Conn: "conn_a", MID: "0", SSRC: 0xA0A0, Slot: true, Anonymous: true}),
		r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: "sub_b", Track: "trk_a", Conn: "conn_b", MID: "0", SSRC: 0xB0B0, Slot: true, Anonymous: true}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return r, a, b
}

// reports reads the compounds that came until the virtual clock went on by d,
// with talk going on both sides, and returns when each came.
func (r *rig) reports(a, b *box, d time.Duration, talk bool) (at []time.Duration, all [][]byte) {
	const step = 250 * time.Millisecond
	for went := time.Duration(0); went < d; went += step {
		if talk {
			a.say(0xAAAA, "from a")
			b.say(0xBBBB, "from b")
			a.arrived(r)
			b.arrived(r)
		}
		r.leap(step)
		r.settle()
		for _, p := range b.came(b.rtcp, b.rcv) {
			at, all = append(at, went), append(all, p)
		}
	}
	return at, all
}

// TestB2B1_NothingOfOneSideOnTheOther: no SSRC or CNAME of a in anything that
// b gets, report blocks included.
func TestB2B1_NothingOfOneSideOnTheOther(t *testing.T) {
	r, a, b := pair(t, 25000)
	sdes := rtcp.AppendSDES(rtcp.AppendSR(nil, 0xAAAA, rtcp.SenderInfo{NTP: 1 << 32, RTP: 5}, []rtcp.Block{{SSRC: 0xA0A0}}), 0xAAAA, "alice@a")
	_, _ = a.rtcp.WriteToUDPAddrPort(sdes, a.local.RTCP)
	_, all := r.reports(a, b, 30*time.Second, true)
	if len(all) < 3 {
		t.Fatalf("%d compounds", len(all))
	}
	leaks := [][]byte{{0, 0, 0xAA, 0xAA}, {0, 0, 0xA0, 0xA0}, []byte("alice"), []byte("for-a"), []byte("alias-a")}
	check := func(what string, p []byte) {
		for _, l := range leaks {
			if bytes.Contains(p, l) {
				t.Errorf("%q in %s: %x", l, what, p)
			}
		}
	}
	for _, p := range all {
		check("RTCP", p)
	}
	n := 0
	for _, p := range b.came(b.rtp, b.got) {
		check("RTP", p[:12])
		if string(p[12:]) != "from a" || p[0]&0x0f != 0 {
			t.Errorf("%x", p)
		}
		n++
	}
	if n < 50 {
		t.Errorf("b heard %d packets", n)
	}
}

// TestB2B3_AVPHasNoFeedback: with loss on a's side, a lossy track and a slot on
// b's, no packet of types 205 to 207 is sent, and RTCP goes to its own port.
func TestB2B3_AVPHasNoFeedback(t *testing.T) {
	r, a, b := pair(t, 25020)
	for range 10 {
		a.say(0xAAAA, "x")
		a.seq += 3 // lost
	}
	_, all := r.reports(a, b, 40*time.Second, true)
	for _, p := range append(all, a.came(a.rtcp, a.rcv)...) {
		if isFeedback(p) {
			t.Errorf("%x", p)
		}
		if k := p[1]; k != rtcp.TypeSR && k != rtcp.TypeRR {
			t.Errorf("a compound begins with %d", k)
		}
	}
	for _, p := range append(a.came(a.rtp, a.got), b.came(b.rtp, b.got)...) {
		if rtcp.Mux(p) {
			t.Errorf("RTCP on the RTP port: %x", p)
		}
	}
	if len(all) < 4 {
		t.Errorf("%d compounds", len(all))
	}
}

// TestB2B5_IntervalsOfEachSide: b's reports are 2 s apart at least, by its own
// bandwidth, though the leg beside it has faster ones.
func TestB2B5_IntervalsOfEachSide(t *testing.T) {
	r, a, b := pair(t, 25040)
	fast := phoneMedia("0", "for-a", 0xA0A0)
	fast.RTCPMin, fast.RTCPRate = time.Second, 10000 // as AVPF would
	if err := r.Configure("conn_a", fast); err != nil {
		t.Fatal(err)
	}
	at, _ := r.reports(a, b, 120*time.Second, true)
	for i := 1; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap < 2*time.Second-500*time.Millisecond { // what the step of the clock can hide
			t.Errorf("reports %v apart", gap)
		}
	}
	if n := len(at); n < 15 || n > 58 {
		t.Errorf("%d reports in two minutes", n)
	}
	if n := len(a.came(a.rtcp, a.rcv)); n < 2*len(at) {
		t.Errorf("the faster side got %d, the phone %d", n, len(at))
	}
}

// TestB2B6_LossOnOneSide: a fifth of a's packets are lost on their way to us;
// what b is told of its own packets is clean.
func TestB2B6_LossOnOneSide(t *testing.T) {
	r, a, b := pair(t, 25060)
	var fromA, fromB rtcp.Block
	for i := range 200 {
		if i%20 == 7 {
			a.seq++ // 5 % lost on the way
		}
		a.say(0xAAAA, "a")
		b.say(0xBBBB, "b")
		a.arrived(r)
		b.arrived(r)
		r.leap(250 * time.Millisecond)
		r.settle()
		for _, x := range a.came(a.rtcp, a.rcv) {
			fromA = later(fromA, x, 0xAAAA)
		}
		for _, x := range b.came(b.rtcp, b.rcv) {
			fromB = later(fromB, x, 0xBBBB)
		}
	}
	if fromB.SSRC == 0 || fromB.Lost != 0 || fromB.Fraction != 0 {
		t.Errorf("b is told %+v", fromB)
	}
	if fromA.SSRC == 0 || fromA.Lost < 8 {
		t.Errorf("a is told %+v", fromA)
	}
}

// later returns the block about an SSRC in a compound, else the one before.
func later(was rtcp.Block, compound []byte, ssrc uint32) rtcp.Block {
	var p rtcp.Packet
	for it := rtcp.Parse(compound); it.Next(&p); {
		for i := range p.Blocks() {
			if b := p.Block(i); b.SSRC == ssrc {
				was = b
			}
		}
	}
	return was
}

// TestPlainSilenceIsTold: without RTCP a talking phone lives; after 25 s of
// nothing at all it is told to be silent, and lives on; with the next packet
// it is back.
func TestPlainSilenceIsTold(t *testing.T) {
	r, a, b := pair(t, 25080)
	r.reports(a, b, 60*time.Second, true) // no RTCP from either
	if e, ok := r.sink.find("conn_a", plane.LinkDisconnected); ok {
		t.Fatalf("missing RTCP taken for death: %+v", e)
	}
	r.reports(a, b, 24*time.Second, false)
	if _, ok := r.sink.find("conn_a", plane.LinkDisconnected); ok {
		t.Error("silent too soon")
	}
	r.reports(a, b, 3*time.Second, false)
	if e := r.sink.wait(t, "conn_a", plane.LinkDisconnected); e.Reason != "silent" {
		t.Errorf("%+v", e)
	}
	if s, ok := r.Stats("conn_a"); !ok || s.State != "silent" {
		t.Errorf("%+v %v", s, ok)
	}
	n := r.sink.count("conn_a", plane.LinkConnected)
	a.say(0xAAAA, "again")
	waitFor(t, "a to be back", func() bool { return r.sink.count("conn_a", plane.LinkConnected) == n+1 })
}

func (s *sink) count(conn ids.Connection, k plane.EventKind) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Conn == conn && e.Kind == k {
			n++
		}
	}
	return n
}

// TestSPL_PartsAreSessionsOfTheirOwn: two parts of one terminal with one CNAME:
// no collision is counted (SPL-2), our RTCP to one names no SSRC of the other
// (SPL-3), and the death of one leaves the other alone (SPL-5).
func TestSPL3_PartsAreSessionsOfTheirOwn(t *testing.T) {
	r, x, y := pair(t, 25100)
	for _, p := range []*box{x, y} {
		ssrc := map[ids.Connection]uint32{"conn_a": 0xAAAA, "conn_b": 0xBBBB}[p.conn]
		c := rtcp.AppendSDES(rtcp.AppendRR(nil, ssrc, nil), ssrc, "terminal@room")
		_, _ = p.rtcp.WriteToUDPAddrPort(c, p.local.RTCP)
	}
	_, toY := r.reports(x, y, 20*time.Second, true)
	for _, c := range toY {
		if later(rtcp.Block{}, c, 0xAAAA).SSRC != 0 || bytes.Contains(c, []byte{203}) && hasBye(c) {
			t.Errorf("%x", c)
		}
	}
	for range 110 { // y dies
		x.say(0xAAAA, "x")
		x.arrived(r)
		r.leap(250 * time.Millisecond)
	}
	r.sink.wait(t, "conn_b", plane.LinkDisconnected)
	if _, ok := r.sink.find("conn_a", plane.LinkDisconnected); ok {
		t.Error("x was taken along")
	}
}

func hasBye(c []byte) bool {
	var p rtcp.Packet
	for it := rtcp.Parse(c); it.Next(&p); {
		if p.Type == rtcp.TypeBYE {
			return true
		}
	}
	return false
}

// TestPlainMux: with rtcp-mux everything is on one port.
func TestPlainMux(t *testing.T) {
	r := plainRig(t, 25120)
	a := newBox(t, "conn_a")
	a.open(r, func(o *plane.OpenRTP) { o.Mux, o.RTCP = true, netip.AddrPort{} })
	if a.local.RTP != a.local.RTCP {
		t.Errorf("%+v", a.local)
	}
	if err := r.Configure("conn_a", phoneMedia("0", "us", 1)); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish(plane.Track{Conf: "conf_test", Conn: "conn_a", Track: "trk_a", MID: "0", Kind: plane.Audio, CNAME: "c"}); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		a.say(0xAAAA, "x")
		a.arrived(r)
		r.leap(250 * time.Millisecond)
		r.settle()
	}
	found := false
	for _, p := range a.came(a.rtp, a.got) {
		found = found || later(rtcp.Block{}, p, 0xAAAA).SSRC != 0 && rtcp.Mux(p)
	}
	if !found || len(a.rcv) != 0 {
		t.Errorf("report on the RTP port %v, %d on another", found, len(a.rcv))
	}
}

// TestPlainRetarget: a re-offer with another address moves what is sent.
func TestPlainRetarget(t *testing.T) {
	r, a, b := pair(t, 25140)
	for range 5 {
		a.say(0xAAAA, "a")
		a.arrived(r)
	}
	b.next(b.got, "a's voice at b")
	c := newBox(t, "conn_b")
	if err := r.RetargetRTP("conn_b", addrOf(c.rtp), addrOf(c.rtcp)); err != nil {
		t.Fatal(err)
	}
	r.settle()
	a.say(0xAAAA, "moved")
	if p := c.next(c.got, "a's voice at b's new address"); string(p[12:]) != "moved" {
		t.Errorf("%x", p)
	}
	if err := r.RetargetRTP("conn_nobody", addrOf(c.rtp), netip.AddrPort{}); fault.From(err).Code != 404 {
		t.Errorf("%v", err)
	}
}

// TestPlainFlood: what strangers send costs one session its queue, and no more.
func TestPlainFlood(t *testing.T) {
	r, a, b := pair(t, 25160)
	for i := range 20000 {
		junk := make([]byte, 13+i%1600)
		junk[0], junk[1] = 0x80|byte(i&0x3f), byte(i>>3)
		_, _ = b.rtcp.WriteToUDPAddrPort(junk, a.local.RTP)
	}
	waitFor(t, "b to hear a", func() bool {
		a.say(0xAAAA, "a")
		select {
		case p := <-b.got:
			return string(p[12:]) == "a"
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
	if n := r.BuffersInUse(); n > 4*plainQueue {
		t.Errorf("%d buffers in use", n)
	}
}

// TestD10_HostilePhone: the peer itself sends a thousand SSRCs, types, jumps
// and lying headers: bounded, and the session goes on.
func TestD10_HostilePhone(t *testing.T) {
	r, a, b := pair(t, 25200)
	before := runtime.NumGoroutine()
	a.say(0xAAAA, "a")
	a.arrived(r)
	for i := range 1000 {
		p := make([]byte, 12+i%200)
		p[0], p[1] = 0x80, byte(i%3*13)
		if i%7 == 0 {
			p[0] |= 0x30 // padding longer than the packet, an extension that is not there
		}
		binary.BigEndian.PutUint16(p[2:], uint16(i*7919))
		binary.BigEndian.PutUint32(p[4:], uint32(i)*1e6)
		binary.BigEndian.PutUint32(p[8:], uint32(i))
		_, _ = a.rtp.WriteToUDPAddrPort(p, a.local.RTP)
		_, _ = a.rtcp.WriteToUDPAddrPort(rtcp.AppendBYE(rtcp.AppendRR(nil, uint32(i), make([]rtcp.Block, 31)), uint32(i)), a.local.RTCP)
	}
	waitFor(t, "b to hear a again", func() bool {
		a.say(0xAAAA, "again")
		r.leap(100 * time.Millisecond)
		for _, p := range b.came(b.rtp, b.got) {
			if bytes.HasSuffix(p, []byte("again")) {
				return true
			}
		}
		return false
	})
	if n := r.BuffersInUse(); n > 2048 {
		t.Errorf("%d buffers in use", n)
	}
	if n := runtime.NumGoroutine(); n > before+10 {
		t.Errorf("%d goroutines more", n-before)
	}
}

// TestPlainRefusals: bad keys, names taken, ports used up.
func TestPlainRefusals(t *testing.T) {
	r := plainRig(t, 25180)
	o := plane.OpenRTP{Conf: "conf_test", Conn: "conn_x", Kind: plane.Audio, Remote: netip.MustParseAddrPort("127.0.0.1:9")}
	bad := o
	bad.SDES = &plane.SDES{Suite: "AES_CM_128_HMAC_SHA1_80", Local: "short", Remote: "short"}
	if _, err := r.OpenRTP(bad); fault.From(err).Code != 400 {
		t.Errorf("short keys: %v", err)
	}
	bad.SDES = &plane.SDES{Suite: "NULL"}
	if _, err := r.OpenRTP(bad); fault.From(err).Code != 488 {
		t.Errorf("no suite: %v", err)
	}
	for i := range 10 {
		o.Conn = ids.Connection(fmt.Sprint("conn_", i))
		if _, err := r.OpenRTP(o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.OpenRTP(o); err == nil {
		t.Error("twice under one name, with no ports left")
	}
	o.Conn = "conn_more"
	if _, err := r.OpenRTP(o); fault.From(err).Reason != "no-ports" {
		t.Errorf("%v", err)
	}
	r.Close("conn_3", "done")
	r.settle()
	if _, err := r.OpenRTP(o); err != nil {
		t.Errorf("after a close: %v", err)
	}
	if err := r.PressKeys("conn_more", "1", time.Second); fault.From(err).Reason != "no-telephone-event" {
		t.Errorf("%v", err)
	}
}

// TestSPL1_LipSync: sound from one host and picture from another with one
// clock: by our sender reports, what was taken at one instant is played within
// 40 ms, though one of them travels 15 ms longer.
func TestSPL1_LipSync(t *testing.T) {
	r, x, y := pair(t, 25240)
	c, d := newBox(t, "conn_c"), newBox(t, "conn_d")
	c.open(r, nil)
	d.open(r, nil)
	for _, err := range []error{
		r.Configure("conn_c", phoneMedia("0", "us", 0xC0C0)), r.Configure("conn_d", phoneMedia("0", "us", 0xD0D0)),
		r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: "sub_c", Track: "trk_a", Conn: "conn_c", MID: "0", SSRC: 0xC0C0}),
		r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: "sub_d", Track: "trk_b", Conn: "conn_d", MID: "0", SSRC: 0xD0D0}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const way = 15 * time.Millisecond
	report := func(b *box, ssrc uint32) {
		// Both hosts stamp by one clock: an instant of capture has the same NTP time
		// and, since they began together, the RTP time of its packet.
		ntp := uint64(b.seq) * 20 << 32 / 1000
		sr := rtcp.AppendSDES(rtcp.AppendSR(nil, ssrc, rtcp.SenderInfo{NTP: 1<<32 + ntp, RTP: uint32(b.seq) * 160}, nil), ssrc, "terminal")
		_, _ = b.rtcp.WriteToUDPAddrPort(sr, b.local.RTCP)
	}
	type line struct {
		sr    rtcp.SenderInfo
		stamp map[string]uint32
	}
	lines := map[*box]*line{c: {stamp: map[string]uint32{}}, d: {stamp: map[string]uint32{}}}
	for i := range 600 {
		what := fmt.Sprint("instant ", i)
		x.say(0xAAAA, what)
		x.arrived(r)
		if i%50 == 10 {
			report(x, 0xAAAA)
			r.settle()
		}
		r.leap(way)
		y.say(0xBBBB, what)
		y.arrived(r)
		if i%50 == 10 {
			report(y, 0xBBBB)
			r.settle()
		}
		r.leap(20*time.Millisecond - way)
		r.settle()
		for b, l := range lines {
			for _, p := range b.came(b.rtp, b.got) {
				l.stamp[string(p[12:])] = binary.BigEndian.Uint32(p[4:])
			}
			for _, p := range b.came(b.rtcp, b.rcv) {
				var q rtcp.Packet
				for it := rtcp.Parse(p); it.Next(&q); {
					if s, ok := q.SenderInfo(); ok {
						l.sr = s
					}
				}
			}
		}
	}
	at := func(l *line, what string) time.Duration {
		ticks := int32(l.stamp[what] - l.sr.RTP)
		return time.Duration(l.sr.NTP>>32)*time.Second + time.Duration(l.sr.NTP&0xffffffff*1e9>>32) + time.Duration(ticks)*time.Second/8000
	}
	n := 0
	for what := range lines[c].stamp {
		if _, ok := lines[d].stamp[what]; !ok {
			continue
		}
		n++
		if off := at(lines[c], what) - at(lines[d], what); off > 40*time.Millisecond || off < -40*time.Millisecond {
			t.Fatalf("%s is played %v apart", what, off)
		}
	}
	if n < 500 || lines[c].sr.NTP == 0 || lines[d].sr.NTP == 0 {
		t.Errorf("%d instants, reports %+v %+v", n, lines[c].sr, lines[d].sr)
	}
}
