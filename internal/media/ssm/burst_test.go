package ssm

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
)

// TestSSM3_SenderReportsAsTheyAre: bit for bit; another's SR is not passed on.
func TestSSM3_SenderReportsAsTheyAre(t *testing.T) {
	s := newSource(nil)
	in := rtcpOf(t, &prtcp.SenderReport{SSRC: sender, NTPTime: 1 << 40, RTPTime: 77, PacketCount: 5, OctetCount: 500},
		&prtcp.SourceDescription{Chunks: []prtcp.SourceDescriptionChunk{{Source: sender, Items: []prtcp.SourceDescriptionItem{{Type: prtcp.SDESCNAME, Text: "s"}}}}})
	if out := s.HandleSender(bytes.Clone(in)); !bytes.Equal(out, in) {
		t.Errorf("%x\n%x", out, in)
	}
	if out := s.HandleSender(rtcpOf(t, &prtcp.SenderReport{SSRC: 1})); out != nil || s.Foreign != 1 {
		t.Errorf("%x", out)
	}
}

// group packet n of a video stream: four packets a picture, 30 ms apart.
func groupPacket(t *testing.T, n int) []byte {
	t.Helper()
	b, err := (&prtp.Packet{
		Header:  prtp.Header{Version: 2, SSRC: sender, PayloadType: 96, SequenceNumber: uint16(65500 + n), Timestamp: uint32(n / 4 * 2700), Marker: n%4 == 3},
		Payload: append([]byte{byte(n >> 8), byte(n)}, make([]byte, 500)...),
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSSM8_BurstForALateJoiner: it gets the packets from the last refresh point
// on, in a session of its own under its own SSRC and the declared type, and
// catches up with the group.
func TestSSM8_BurstForALateJoiner(t *testing.T) {
	s := NewBursts(BurstConfig{Media: sender, SSRC: 0xB0B, Format: 97, Rate: 66_000, Video: true, Random: seeded(t)})
	joiner := netip.MustParseAddrPort("192.0.2.50:6000")
	now, n := second, 0
	send := func() {
		s.Sent(now, groupPacket(t, n), n%120 == 0)
		n++
		now += second * 3 / 400 // 7.5 ms
	}
	for n < 200 {
		send()
	}
	request := rtcp.AppendRAMS(rtcp.AppendRR(nil, 5, nil), &rtcp.RAMS{Sender: 5, Media: sender, Kind: rtcp.RAMSRequest, Wanted: []uint32{sender}, MinFill: 100})
	answer := s.HandleRequest(now, joiner, request)
	var p rtcp.Packet
	it := rtcp.Parse(answer)
	it.Next(&p)
	info, ok := p.ReadRAMS()
	refresh := uint16((65500 + 120) & 0xffff)
	if !ok || info.Response != rtcp.RAMSAccepted || info.First != refresh || info.SSRC != sender || info.Duration == 0 {
		t.Fatalf("%+v", info)
	}
	want, seq, got := refresh, -1, 0
	take := func(to netip.AddrPort, b []byte) {
		if to != joiner {
			t.Fatalf("sent to %s", to)
		}
		var q prtp.Packet
		if err := q.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		if q.SSRC != 0xB0B || q.PayloadType != 97 {
			t.Fatalf("%+v", q.Header)
		}
		if osn := binary.BigEndian.Uint16(q.Payload); osn != want {
			t.Fatalf("original number %d, not %d", osn, want)
		}
		if seq >= 0 && q.SequenceNumber != uint16(seq)+1 {
			t.Fatalf("sequence %d after %d", q.SequenceNumber, seq)
		}
		if k := int(want-65500) & 0xffff; !bytes.Equal(q.Payload[2:4], []byte{byte(k >> 8), byte(k)}) || q.Timestamp != uint32(k/4*2700) || q.Marker != (k%4 == 3) {
			t.Fatalf("packet %d: %+v", k, q.Header)
		}
		want, seq, got = want+1, int(q.SequenceNumber), got+1
	}
	for len(s.runs) > 0 && n < 1000 {
		send() // refresh points on the way are nothing to it
		s.Tick(now, take)
	}
	if len(s.runs) != 0 || got < 80 || int16(uint16(65500+n-1)-want) > 4 {
		t.Errorf("%d packets, %d runs, at %d of %d", got, len(s.runs), want, uint16(65500+n-1))
	}
}

// TestBurstRefusals: before a refresh point, for another stream, with too many
// joiners; a termination ends one.
func TestBurstRefusals(t *testing.T) {
	s := NewBursts(BurstConfig{Media: sender, SSRC: 0xB0B, Format: 97, Rate: 66_000, Video: true, Random: seeded(t)})
	ask := func(from string, media uint32, kind uint8) uint16 {
		b := s.HandleRequest(second, netip.MustParseAddrPort(from), rtcp.AppendRAMS(nil, &rtcp.RAMS{Sender: 5, Media: media, Kind: kind}))
		var p rtcp.Packet
		it := rtcp.Parse(b)
		if !it.Next(&p) {
			return 0
		}
		r, _ := p.ReadRAMS()
		return r.Response
	}
	if c := ask("192.0.2.1:1", sender, rtcp.RAMSRequest); c != rtcp.RAMSBusy {
		t.Errorf("nothing sent yet: %d", c)
	}
	s.Sent(second, groupPacket(t, 0), true)
	if c := ask("192.0.2.1:1", 7, rtcp.RAMSRequest); c != rtcp.RAMSInvalid {
		t.Errorf("another stream: %d", c)
	}
	for i := range maxBursts {
		if c := ask(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 9).String(), sender, rtcp.RAMSRequest); c != rtcp.RAMSAccepted {
			t.Fatalf("%d: %d", i, c)
		}
	}
	if c := ask("198.51.100.1:9", sender, rtcp.RAMSRequest); c != rtcp.RAMSBusy {
		t.Errorf("one too many: %d", c)
	}
	ask("192.0.2.3:9", sender, rtcp.RAMSTermination)
	if c := ask("198.51.100.1:9", sender, rtcp.RAMSRequest); c != rtcp.RAMSAccepted {
		t.Errorf("after one ended: %d", c)
	}
}

// TestMSH4_JointMesh: what a sends reaches b and c as equal datagrams, and b's
// report about a reaches c as well.
func TestMSH4_JointMesh(t *testing.T) {
	addr := map[string]netip.AddrPort{
		"a": netip.MustParseAddrPort("192.0.2.1:5004"), "b": netip.MustParseAddrPort("192.0.2.2:5004"), "c": netip.MustParseAddrPort("192.0.2.3:5004"),
	}
	mesh, got := map[string]*Joint{}, map[string][][]byte{}
	for name := range addr {
		var peers []netip.AddrPort
		for o, at := range addr {
			if o != name {
				peers = append(peers, at)
			}
		}
		mesh[name] = NewJoint(peers)
	}
	send := func(name string, b []byte) {
		mesh[name].Send(b, func(to netip.AddrPort, b []byte) {
			for o, at := range addr {
				if at == to && mesh[o].Takes(addr[name]) {
					got[o] = append(got[o], bytes.Clone(b))
				}
			}
		})
	}
	for n := range 5 {
		send("a", groupPacket(t, n))
	}
	if len(got["b"]) != 5 || len(got["c"]) != 5 || len(got["a"]) != 0 {
		t.Fatalf("%d %d %d", len(got["a"]), len(got["b"]), len(got["c"]))
	}
	for i := range got["b"] {
		if !bytes.Equal(got["b"][i], got["c"][i]) {
			t.Errorf("packet %d differs", i)
		}
	}
	send("b", report(t, 2, "b", prtcp.ReceptionReport{SSRC: sender, FractionLost: 12}))
	for _, who := range []string{"a", "c"} {
		list, err := prtcp.Unmarshal(got[who][len(got[who])-1])
		if err != nil {
			t.Fatal(err)
		}
		if r := list[0].(*prtcp.ReceiverReport); r.SSRC != 2 || r.Reports[0].SSRC != sender || r.Reports[0].FractionLost != 12 {
			t.Errorf("%s got %v", who, list)
		}
	}
	if mesh["a"].Takes(netip.MustParseAddrPort("203.0.113.9:1")) || mesh["a"].Foreign != 1 {
		t.Error("a stranger was taken")
	}
}

func FuzzBursts(f *testing.F) {
	f.Add(rtcp.AppendRAMS(nil, &rtcp.RAMS{Sender: 5, Media: sender, Kind: rtcp.RAMSRequest, Wanted: []uint32{1}}), []byte{0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, req, packet []byte) {
		s := NewBursts(BurstConfig{Media: sender, SSRC: 1, Format: 97, Rate: 1000, Video: true, Random: func() uint32 { return 4 }})
		now := clock.Time(1)
		s.Sent(now, packet, true)
		s.HandleRequest(now, netip.MustParseAddrPort("192.0.2.1:1"), req)
		n := 0
		for i := 0; i < 100; i++ {
			now += second / 10
			s.Tick(now, func(netip.AddrPort, []byte) { n++ })
		}
		if n > 1 || len(s.runs) != 0 {
			t.Errorf("%d packets, %d runs", n, len(s.runs))
		}
	})
}
