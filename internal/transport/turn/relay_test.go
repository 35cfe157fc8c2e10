package turn

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// payloads look like what crosses a relay: RTP, SRTCP, STUN, DTLS, and anything.
func payloads(r *rand.Rand, n int) [][]byte {
	first := []byte{0x80, 0x80, 0x00, 0x16, 0x42}
	out := make([][]byte, n)
	for i := range out {
		b := make([]byte, 20+r.IntN(1381))
		if i%17 == 0 {
			b = make([]byte, 1400)
		}
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		b[0] = first[i%len(first)]
		if i%len(first) == 1 {
			b[1] = 200 // RTCP
		}
		binary.BigEndian.PutUint32(b[4:], uint32(i)) //nolint:gosec // a count
		out[i] = b
	}
	return out
}

// pair is two clients with relays that gave each other leave.
func (l *lab) pair(left, right string) (a, b *client) {
	l.t.Helper()
	a, b = l.dial(left, "ana"), l.dial(right, "bo")
	if a.allocate() != 0 || b.allocate() != 0 {
		l.t.Fatal("no relays")
	}
	a.permit(b.relay)
	b.permit(a.relay)
	return a, b
}

// carry sends data from one relay to the other, a few at a time, since sockets are
// finite, and checks that each arrives as it was, in order.
func carry(t *testing.T, a, b *client, data [][]byte) {
	t.Helper()
	for i := 0; i < len(data); i += 8 {
		some := data[i:min(i+8, len(data))]
		for _, d := range some {
			a.say(peer(b.relay), d)
		}
		for j, d := range some {
			got, from := b.hear(patience)
			if !bytes.Equal(got, d) {
				t.Fatalf("packet %d of %d bytes arrived as %d bytes", i+j, len(d), len(got))
			}
			if from != a.relay {
				t.Fatalf("it came from %s, not from %s", from, a.relay)
			}
		}
	}
}

// TestREL1_ByteEqual, with REL-4: what goes in comes out, 1,400 bytes too, in order,
// no more and no less; by every transport.
func TestREL1_ByteEqual(t *testing.T) {
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number
	t.Logf("seed %d", seed)
	for _, by := range [][2]string{{"udp", "udp"}, {"udp", "tcp"}, {"tls", "udp"}} {
		l := newLab(t, nil)
		a, b := l.pair(by[0], by[1])
		data := payloads(rand.New(rand.NewPCG(seed, 1)), 300)
		carry(t, a, b, data)
		carry(t, b, a, data[:100])
		until(t, "all are counted", func() bool { s := l.Stats(); return s.Out == 400 && s.In == 400 })
		if s := l.Stats(); s.BytesIn != s.BytesOut || s.DropIn+s.DropOut != 0 {
			t.Errorf("%v: %+v", by, s)
		}
	}
}

// TestREL4_LargeInOrder: a thousand packets of 1,400 bytes.
func TestREL4_LargeInOrder(t *testing.T) {
	l := newLab(t, nil)
	a, b := l.pair("udp", "udp")
	data := make([][]byte, 1000)
	for i := range data {
		data[i] = bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 700)
	}
	carry(t, a, b, data)
}

// TestREL2_WithoutLeave: a source that was given no leave is not heard, and counted.
func TestREL2_WithoutLeave(t *testing.T) {
	l := newLab(t, nil)
	a, b := l.dial("udp", "ana"), l.dial("udp", "bo")
	if a.allocate() != 0 || b.allocate() != 0 {
		t.Fatal("no relays")
	}
	stranger, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, net.UDPAddrFromAddrPort(b.relay))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for range 10 {
		if _, err := stranger.Write([]byte("let me in")); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the drops are counted", func() bool { return l.Stats().DropIn == 10 })
	a.permit(b.relay)
	a.say(peer(b.relay), []byte("b has not given a leave"))
	until(t, "the eleventh is", func() bool { return l.Stats().DropIn == 11 })
	b.permit(a.relay)
	a.say(peer(b.relay), []byte("now"))
	if data, _ := b.hear(patience); string(data) != "now" {
		t.Errorf("got %q", data)
	}
	if s := l.Stats(); s.In != 1 {
		t.Errorf("%+v", s)
	}
}

// TestREL3_Silence: the relay says nothing by itself. A short while stands for the
// sixty seconds: there is no clock in it that could send media.
func TestREL3_Silence(t *testing.T) {
	l := newLab(t, nil)
	a, b := l.pair("udp", "tcp")
	before := l.Stats()
	if m := a.receive(1500 * time.Millisecond); m != nil {
		t.Errorf("got %s", m)
	}
	if m := b.receive(time.Millisecond); m != nil {
		t.Errorf("got %s", m)
	}
	if now := l.Stats(); now != before {
		t.Errorf("%+v, was %+v", now, before)
	}
}

// TestMSH3_RelayedPair: two who reach each other by their relays alone, with
// channels as browsers use them, satisfy REL-1.
func TestMSH3_RelayedPair(t *testing.T) {
	l := newLab(t, nil)
	a, b := l.pair("udp", "udp")
	for _, x := range []struct{ c, o *client }{{a, b}, {b, a}} {
		if code, _ := x.c.ask(stun.MethodChannelBind, channel(0x4000), peer(x.o.relay)); code != 0 {
			t.Fatalf("channel: %d", code)
		}
	}
	for i, d := range payloads(rand.New(rand.NewPCG(7, 7)), 200) {
		frame := binary.BigEndian.AppendUint16([]byte{0x40, 0}, uint16(len(d))) //nolint:gosec // a packet
		if _, err := a.conn.Write(append(frame, d...)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2048)
		_ = b.conn.SetReadDeadline(time.Now().Add(patience))
		n, err := b.conn.Read(buf)
		if err != nil || n < 4+len(d) || !bytes.Equal(buf[4:4+len(d)], d) {
			t.Fatalf("packet %d: %d bytes, %v", i, n, err)
		}
	}
	until(t, "all are counted", func() bool { s := l.Stats(); return s.Out == 200 && s.In == 200 })
}

// TestBehindNAT: relays that are known by another address than they are bound to
// reach each other on the machine itself, under the addresses that are known.
func TestBehindNAT(t *testing.T) {
	public := netip.MustParseAddr("8.8.4.4")
	l := newLab(t, func(c *Config) { c.Relays = []Relay{{netip.IPv4Unspecified(), public}} })
	a, b := l.pair("udp", "udp")
	if a.relay.Addr() != public {
		t.Fatalf("announced as %s", a.relay)
	}
	carry(t, a, b, payloads(rand.New(rand.NewPCG(3, 3)), 20))
	carry(t, b, a, payloads(rand.New(rand.NewPCG(4, 4)), 20))
}
