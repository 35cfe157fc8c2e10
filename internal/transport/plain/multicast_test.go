package plain

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long what must happen may take.
const patience = 30 * time.Second

// testGroup is from the range for documentation (RFC 6676, section 2).
var testGroup = netip.MustParseAddrPort("233.252.0.17:24998")

// hears joins the group on loopback and returns what comes to a port.
func hears(t *testing.T, group netip.AddrPort) chan heard {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenMulticastUDP("udp4", lo, &net.UDPAddr{IP: group.Addr().AsSlice(), Port: int(group.Port())})
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := c.SyscallConn()
	_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTTL, 1) })
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan heard, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b, oob := make([]byte, 2048), make([]byte, 256)
		for {
			n, on, _, from, err := c.ReadMsgUDPAddrPort(b, oob)
			if err != nil {
				return
			}
			h := heard{from: from, b: string(b[:n])}
			list, _ := unix.ParseSocketControlMessage(oob[:on])
			for _, m := range list {
				if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TTL {
					h.ttl = int(m.Data[0])
				}
			}
			got <- h
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return got
}

type heard struct {
	from netip.AddrPort
	b    string
	ttl  int
}

func (r *Range) group(t *testing.T, source bool, h Handler) *Group {
	t.Helper()
	g, err := r.OpenGroup(GroupConfig{Group: testGroup, TTL: 3, Interface: "lo", Local: netip.MustParseAddr("127.0.0.1"), Source: source, Loop: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Close()
		r.Wait()
		if n := r.Live(); n != 0 {
			t.Errorf("%d pairs are still taken", n)
		}
	})
	return g
}

func next(t *testing.T, c chan heard, what string) heard {
	t.Helper()
	select {
	case h := <-c:
		return h
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
	}
	return heard{}
}

// TestASM6_PortsAndScope: RTP goes to the group's port, RTCP to the one above,
// with the scope that was set; and what others send there is heard.
func TestASM6_PortsAndScope(t *testing.T) {
	rtp, rtcp := hears(t, testGroup), hears(t, above(testGroup))
	in := make(chan heard, 64)
	g := NewRange(24100, 24103).group(t, false, func(isRTCP bool, from netip.AddrPort, b []byte) {
		if isRTCP {
			in <- heard{from: from, b: string(b)}
		}
	})
	to, toRTCP := g.Target()
	if g.Send(false, to, []byte("media")) != SentOK || g.Send(true, toRTCP, []byte("report")) != SentOK {
		t.Fatal("not sent")
	}
	local, localRTCP := g.Local()
	if h := next(t, rtp, "RTP"); h.b != "media" || h.ttl != 3 || h.from.Port() != local.Port() || local.Port()%2 != 0 {
		t.Errorf("%+v from %s", h, local)
	}
	if h := next(t, rtcp, "RTCP"); h.b != "report" || h.ttl != 3 || h.from.Port() != localRTCP.Port() || localRTCP.Port() != local.Port()+1 {
		t.Errorf("%+v", h)
	}
	if h := next(t, in, "our own, back from the group"); h.b != "report" {
		t.Errorf("%+v", h)
	}
	if len(rtp)+len(rtcp) != 0 {
		t.Error("sent twice")
	}
}

// TestSSM1_OneSourceAndUnicastFeedback: the group hears one address; receivers
// reach the feedback target by unicast, and nothing of the group comes back.
func TestSSM1_OneSourceAndUnicastFeedback(t *testing.T) {
	rtp, rtcp := hears(t, testGroup), hears(t, above(testGroup))
	in := make(chan heard, 64)
	g := NewRange(24104, 24107).group(t, true, func(isRTCP bool, from netip.AddrPort, b []byte) {
		in <- heard{from: from, b: string(b)}
	})
	to, toRTCP := g.Target()
	for range 3 {
		g.Send(false, to, []byte("media"))
		g.Send(true, toRTCP, []byte("summary"))
	}
	source := next(t, rtp, "RTP").from.Addr()
	for range 2 {
		if h := next(t, rtp, "RTP"); h.from.Addr() != source {
			t.Errorf("from %s and %s", source, h.from)
		}
	}
	if h := next(t, rtcp, "RTCP"); h.from.Addr() != source {
		t.Errorf("RTCP from %s", h.from)
	}
	c, err := net.Dial("udp", g.localRTCP.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("receiver")); err != nil {
		t.Fatal(err)
	}
	if h := next(t, in, "feedback"); h.b != "receiver" {
		t.Errorf("%+v", h)
	}
}

func TestGroupRefusals(t *testing.T) {
	r := NewRange(24108, 24111)
	for _, c := range []GroupConfig{
		{Group: netip.MustParseAddrPort("192.0.2.1:5004")}, {Group: netip.MustParseAddrPort("233.252.0.1:0")},
		{Group: testGroup, Interface: "no-such-interface"},
	} {
		if g, err := r.OpenGroup(c); err == nil {
			g.Close()
			t.Errorf("%+v opened", c)
		}
	}
	if r.Live() != 0 {
		t.Error("ports leaked")
	}
}
