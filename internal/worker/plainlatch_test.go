package worker

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/transport/plain"
)

// stranger is at another loopback address, and knows the ports of b's session.
func (b *box) stranger(host string) *box {
	b.t.Helper()
	s := &box{t: b.t, conn: b.conn, got: make(chan []byte, 1<<14), rcv: make(chan []byte, 1<<14), local: b.local}
	s.rtp, s.rtcp = newSocket(b.t, host, s.got), newSocket(b.t, host, s.rcv)
	return s
}

// judged returns how many packets of a session were judged by their source.
func (r *rig) judged(conn ids.Connection) uint64 {
	got := make(chan uint64, 1)
	if err := r.onPlain(conn, func(l *plainLink) { got <- l.count.in + l.count.foreign }); err != nil {
		return 0
	}
	return <-got
}

// stream lets a box send n packets of one steady stream, with RTCP beside it.
func (b *box) stream(r *rig, ssrc uint32, n int) {
	b.t.Helper()
	for i := range n {
		before := r.judged(b.conn)
		b.say(ssrc, "from a stranger")
		waitFor(b.t, "the packet to arrive", func() bool { return r.judged(b.conn) > before })
		if i%10 == 0 {
			c := rtcp.AppendSDES(rtcp.AppendRR(nil, ssrc, nil), ssrc, "stranger")
			_, _ = b.rtcp.WriteToUDPAddrPort(c, b.local.RTCP)
		}
		r.leap(20 * time.Millisecond)
		r.settle()
	}
}

// TestD3_SteadyStranger: while a phone is silent, somebody else streams to its
// port like a phone would, for long: nobody hears him, and not one packet goes
// to him, neither before the phone speaks nor after; also nothing of what he
// says by RTCP counts.
func TestD3_SteadyStranger(t *testing.T) {
	r, a, b := pair(t, 25260)
	s := a.stranger("127.0.0.66")
	for range 3 {
		s.stream(r, 0x666, 20)
		b.say(0xBBBB, "for a") // which a is sent at the described address
		r.leap(20 * time.Millisecond)
		r.settle()
	}
	if p := a.next(a.got, "b's voice at the described address"); string(p[12:]) != "for a" {
		t.Errorf("%x", p)
	}
	for i := range 20 {
		a.say(0xAAAA, "a speaks")
		s.say(0x666, "still here")
		b.say(0xBBBB, "for a")
		r.leap(250 * time.Millisecond)
		r.settle()
		if i%5 == 0 { // he would end a's medium if he were believed
			_, _ = s.rtcp.WriteToUDPAddrPort(rtcp.AppendBYE(rtcp.AppendRR(nil, 0xAAAA, nil), 0xAAAA), s.local.RTCP)
		}
	}
	waitFor(t, "b to hear a", func() bool {
		a.say(0xAAAA, "a speaks")
		r.leap(20 * time.Millisecond)
		for _, p := range b.came(b.rtp, b.got) {
			if string(p[12:]) != "a speaks" {
				t.Fatalf("b hears %q", p[12:])
			}
			return true
		}
		return false
	})
	if _, ok := r.sink.find("conn_a", plane.LinkDisconnected); ok {
		t.Error("a stranger said BYE for a")
	}
	if n, m := len(s.came(s.rtp, s.got)), len(s.came(s.rtcp, s.rcv)); n+m != 0 {
		t.Errorf("a stranger received %d RTP and %d RTCP packets", n, m)
	}
}

// TestLatchByRequest: who asked for it gets a peer that is on another host.
func TestLatchByRequest(t *testing.T) {
	r := plainRig(t, 25280)
	a := newBox(t, "conn_a")
	a.open(r, func(o *plane.OpenRTP) { o.Anywhere = true })
	if err := r.Configure("conn_a", phoneMedia("0", "for-a", 0xA0A0)); err != nil {
		t.Fatal(err)
	}
	s := a.stranger("127.0.0.67")
	s.stream(r, 0x777, 20)
	waitFor(t, "the session to move", func() bool {
		st, ok := r.Stats("conn_a")
		return ok && st.RemoteAddr == addrOf(s.rtp)
	})
}

// TestLatchByWhereWeAre: a private description is taken for a translator's only
// when we have no private address ourselves.
func TestLatchByWhereWeAre(t *testing.T) {
	public, private := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("10.1.2.3")
	for _, x := range []struct {
		ours []netip.Addr
		o    plane.OpenRTP
		want plain.Latch
	}{
		{[]netip.Addr{public}, plane.OpenRTP{Latch: true}, plain.LatchNAT},
		{[]netip.Addr{public, private}, plane.OpenRTP{Latch: true}, plain.LatchPort},
		{[]netip.Addr{netip.IPv6Loopback()}, plane.OpenRTP{Latch: true}, plain.LatchPort},
		{[]netip.Addr{public}, plane.OpenRTP{}, plain.LatchHost},
		{[]netip.Addr{private}, plane.OpenRTP{Latch: true, Anywhere: true}, plain.LatchAny},
	} {
		p := &Pool{cfg: Config{Advertise: x.ours}}
		if got := p.latch(&x.o); got != x.want {
			t.Errorf("%v, %+v: %v", x.ours, x.o, got)
		}
	}
}

// newSocket reads into a channel until the test ends.
func newSocket(t *testing.T, host string, to chan []byte) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			to <- append([]byte(nil), buf[:n]...)
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return c
}
