package ssm

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
)

// second is an instant of the virtual clock.
const second = clock.Time(time.Second)

func seeded(t *testing.T) func() uint32 {
	t.Helper()
	const seed = 20261122
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	return r.Uint32
}

var (
	ours  = netip.MustParseAddrPort("192.0.2.1:5004")
	other = netip.MustParseAddrPort("192.0.2.2:5004")
)

func newMember(t *testing.T) *Member {
	return NewMember(second, MemberConfig{
		SSRC: 0x1111, CNAME: "us", Source: ours, Formats: []uint8{0, 8}, Bandwidth: 8000, Random: seeded(t),
	})
}

func rtpOf(t *testing.T, ssrc uint32, pt uint8) []byte {
	t.Helper()
	b, err := (&prtp.Packet{Header: prtp.Header{Version: 2, SSRC: ssrc, PayloadType: pt, SequenceNumber: 7}, Payload: make([]byte, 20)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rtcpOf(t *testing.T, list ...prtcp.Packet) []byte {
	t.Helper()
	b, err := prtcp.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func report(t *testing.T, ssrc uint32, cname string, blocks ...prtcp.ReceptionReport) []byte {
	t.Helper()
	return rtcpOf(t, &prtcp.ReceiverReport{SSRC: ssrc, Reports: blocks},
		&prtcp.SourceDescription{Chunks: []prtcp.SourceDescriptionChunk{{Source: ssrc, Items: []prtcp.SourceDescriptionItem{{Type: prtcp.SDESCNAME, Text: cname}}}}})
}

// kinds lists the packet types of a compound.
func kinds(b []byte) (out []uint8) {
	var p rtcp.Packet
	for it := rtcp.Parse(b); it.Next(&p); {
		out = append(out, p.Type)
	}
	return out
}

// TestASM1_IntervalOfAGroup: 64 kbit/s, one sender, 99 receivers, 120 bytes.
func TestASM1_IntervalOfAGroup(t *testing.T) {
	s := Share{Bandwidth: 8000, Members: 100, Senders: 1, Average: 120}
	if td := s.Deterministic(); td < 39599*time.Millisecond || td > 39601*time.Millisecond {
		t.Errorf("Td %v, not 39.6 s", td)
	}
	random := seeded(t)
	timer := Timer{Random: random}
	timer.last = second
	last := second
	least, most := time.Hour, time.Duration(0)
	now := second
	timer.next = now.Add(Randomised(s.Deterministic(), random()))
	for sent := 0; sent < 300; {
		now = timer.Next()
		if !timer.Expired(now, s) {
			continue
		}
		gap := now.Sub(last)
		last = now
		sent++
		least, most = min(least, gap), max(most, gap)
	}
	if least < 16200*time.Millisecond || most > 48800*time.Millisecond {
		t.Errorf("gaps %v to %v, not within 16.2 to 48.8 s", least, most)
	}
	if most-least < 10*time.Second {
		t.Errorf("gaps hardly vary: %v to %v", least, most)
	}
}

// TestASM2_FeedbackOfOthersSuppressesOurs: a like NACK of another member before
// our dither is over cancels ours; another number does not.
func TestASM2_FeedbackOfOthersSuppressesOurs(t *testing.T) {
	m := newMember(t)
	for i := range uint32(9) {
		m.HandleRTCP(second, other, report(t, 0x2000+i, "x"))
	}
	m.timer.next = 1000 * second
	m.Lost(second, 0x9999, 100)
	m.Lost(second, 0x9999, 103)
	m.Lost(second, 0x9999, 200)
	out, next := m.Tick(second)
	if len(out) != 0 || next <= second {
		t.Fatalf("no dither: %d packets, next %v", len(out), next)
	}
	nack := rtcpOf(t, &prtcp.TransportLayerNack{SenderSSRC: 0x2000, MediaSSRC: 0x9999, Nacks: []prtcp.NackPair{{PacketID: 100, LostPackets: 0b100}}})
	m.HandleRTCP(second, other, nack)
	out, _ = m.Tick(500 * second)
	if len(out) != 1 || m.Suppressed != 2 {
		t.Fatalf("%d packets, %d suppressed", len(out), m.Suppressed)
	}
	list, err := prtcp.Unmarshal(out[0])
	if err != nil {
		t.Fatal(err)
	}
	n, ok := list[len(list)-1].(*prtcp.TransportLayerNack)
	if !ok || n.MediaSSRC != 0x9999 || n.Nacks[0].PacketID != 200 {
		t.Errorf("%v", list)
	}
}

// TestASM3_OwnPacketsAndCollisions: our own packets come back and are ignored;
// our SSRC from elsewhere brings one BYE and a fresh SSRC, and no second BYE.
func TestASM3_OwnPacketsAndCollisions(t *testing.T) {
	m := newMember(t)
	if v, out := m.HandleRTP(second, ours, rtpOf(t, 0x1111, 0)); v != Own || out != nil {
		t.Errorf("own packet: %v %x", v, out)
	}
	if v, _ := m.HandleRTCP(second, ours, report(t, 0x1111, "us")); v != Own {
		t.Errorf("own report: %v", v)
	}
	v, out := m.HandleRTP(second, other, rtpOf(t, 0x1111, 0))
	if v != Collision || m.SSRC() == 0x1111 {
		t.Fatalf("%v, SSRC %x", v, m.SSRC())
	}
	list, err := prtcp.Unmarshal(out)
	if err != nil {
		t.Fatal(err)
	}
	if bye, ok := list[len(list)-1].(*prtcp.Goodbye); !ok || bye.Sources[0] != 0x1111 {
		t.Errorf("%v", list)
	}
	m.cfg.SSRC = 0x1111 // by bad luck again
	for range 100 {
		if v, out := m.HandleRTP(second, other, rtpOf(t, 0x1111, 0)); v != Offender || out != nil {
			t.Fatalf("%v %x", v, out)
		}
	}
	if m.Collisions != 1 {
		t.Errorf("%d collisions", m.Collisions)
	}
}

// TestASM4_FormatOutsideOfTheMap: dropped and counted.
func TestASM4_FormatOutsideOfTheMap(t *testing.T) {
	m := newMember(t)
	if v, _ := m.HandleRTP(second, other, rtpOf(t, 0x2222, 8)); v != Take {
		t.Errorf("known format: %v", v)
	}
	if v, _ := m.HandleRTP(second, other, rtpOf(t, 0x3333, 96)); v != BadFormat || m.BadFormats != 1 || m.Size() != 2 {
		t.Errorf("%v, %d counted, %d members", v, m.BadFormats, m.Size())
	}
	if v, _ := m.HandleRTP(second, other, []byte{0x80, 0}); v != Malformed {
		t.Errorf("%v", v)
	}
}

// TestASM5_Leaving: at once among fifty, under back-off among more, without a
// word when nobody has heard of us.
func TestASM5_Leaving(t *testing.T) {
	group := func(n int) *Member {
		m := newMember(t)
		for i := range uint32(n - 1) {
			m.HandleRTCP(second, other, report(t, 0x5000+i, "x"))
		}
		return m
	}
	if out, next := group(60).Leave(2 * second); out != nil || next != 0 {
		t.Errorf("never sent: %x %v", out, next)
	}
	m := group(50)
	m.Sent()
	if out, next := m.Leave(2 * second); len(out) == 0 || next != 0 {
		t.Errorf("of 50: %x %v", out, next)
	}
	m = group(51)
	m.Sent()
	out, next := m.Leave(2 * second)
	if out != nil || next.Sub(2*second) < 2*time.Second {
		t.Fatalf("of 51: %x %v", out, next)
	}
	first := next
	for i := range uint32(30) { // others leave meanwhile: our turn comes later
		m.HandleRTCP(3*second, other, rtcpOf(t, &prtcp.Goodbye{Sources: []uint32{0x5000 + i}}))
	}
	var packets [][]byte
	for n := 0; len(packets) == 0 && n < 1000 && next != 0; n++ {
		packets, next = m.Tick(next)
	}
	if len(packets) != 1 || next != 0 {
		t.Fatalf("%d packets, next %v", len(packets), next)
	}
	if k := kinds(packets[0]); k[len(k)-1] != rtcp.TypeBYE {
		t.Errorf("types %v", k)
	}
	_ = first
}

// TestMemberTimeout: a member not heard of for five intervals is gone.
func TestMemberTimeout(t *testing.T) {
	m := newMember(t)
	m.HandleRTCP(second, other, report(t, 0x2000, "x"))
	m.Tick(24 * second)
	if m.Size() != 2 {
		t.Error("gone too soon")
	}
	m.Tick(60 * second)
	if m.Size() != 1 {
		t.Error("still there")
	}
}

// TestShrinking: when most of a group leaves, reports come sooner (RFC 3550,
// section 6.3.4).
func TestShrinking(t *testing.T) {
	timer := Timer{Random: seeded(t)}
	timer.last, timer.next, timer.members = 0, 100*second, 1000
	timer.Shrunk(20*second, 100)
	if want := 28 * second; timer.next != want {
		t.Errorf("next %v, not %v", timer.next, want)
	}
}
