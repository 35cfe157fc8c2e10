package rtcp

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
)

// TestRSILayout compares with octets laid out by RFC 5760, section 7.1.
func TestRSILayout(t *testing.T) {
	got := AppendRSI(nil, &RSI{
		Sender: 0x01020304, Summarised: 0x05060708, NTP: 0x1112131415161718,
		Group: &Group{Size: 1000, Packet: 120}, Stats: &Stats{MedianFraction: 9, HighestLost: 0x010203, MedianJitter: 77},
		Collisions: []uint32{0xAABBCCDD},
	})
	want := []byte{
		0x80, 209, 0, 11, 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
		8, 2, 0, 0, 0xAA, 0xBB, 0xCC, 0xDD,
		10, 3, 0, 0, 9, 1, 2, 3, 0, 0, 0, 77,
		12, 2, 0, 120, 0, 0, 3, 0xE8,
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%x\n%x", got, want)
	}
}

func TestRSIRoundTrip(t *testing.T) {
	for _, target := range []string{"192.0.2.7:5005", "[2001:db8::7]:5005"} {
		r := RSI{
			Sender: 1, Summarised: 2, NTP: 3, Target: netip.MustParseAddrPort(target),
			Bandwidth:     &Bandwidth{Receivers: true, KBits: 1 << 15},
			Group:         &Group{Size: 3, Packet: 100},
			Stats:         &Stats{MedianFraction: 1, HighestLost: 2, MedianJitter: 3},
			Distributions: []Distribution{{Type: BlockLoss, Factor: 2, Min: 0, Max: 256, Buckets: []uint16{1, 2, 3}}},
			Collisions:    []uint32{5, 6},
		}
		b := AppendRSI(nil, &r)
		var p Packet
		it := Parse(b)
		if !it.Next(&p) || it.Next(new(Packet)) || it.Bad() {
			t.Fatalf("%x", b)
		}
		got, ok := p.ReadRSI()
		if !ok || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v\n%+v", got, r)
		}
	}
}

func FuzzRSI(f *testing.F) {
	f.Add(AppendRSI(nil, &RSI{Group: &Group{}, Stats: &Stats{}, Bandwidth: &Bandwidth{}, Collisions: []uint32{1},
		Distributions: []Distribution{{Type: BlockRTT, Buckets: []uint16{1}}}, Target: netip.MustParseAddrPort("192.0.2.7:1")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		for it := Parse(b); it.Next(&p); {
			if r, ok := p.ReadRSI(); ok {
				again := AppendRSI(nil, &r)
				if len(again)%4 != 0 {
					t.Errorf("%x", again)
				}
			}
		}
	})
}

func FuzzRAMS(f *testing.F) {
	for _, r := range []RAMS{
		{Sender: 1, Media: 2, Kind: RAMSRequest, Wanted: []uint32{2, 3}, MinFill: 100, MaxFill: 900, MaxRate: 1 << 40},
		{Sender: 1, Media: 2, Kind: RAMSInformation, Number: 3, Response: RAMSAccepted, SSRC: 4, First: 5, Join: 6, Duration: 7, Rate: 8},
		{Sender: 1, Media: 2, Kind: RAMSTermination, Joined: 70000},
	} {
		b := AppendRAMS(nil, &r)
		var p Packet
		it := Parse(b)
		if !it.Next(&p) || it.Next(new(Packet)) || it.Bad() {
			f.Fatalf("%x", b)
		}
		if got, ok := p.ReadRAMS(); !ok || !reflect.DeepEqual(got, r) {
			f.Fatalf("%+v, not %+v", got, r)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		for it := Parse(b); it.Next(&p); {
			if r, ok := p.ReadRAMS(); ok && len(r.Wanted) > maxWanted {
				t.Errorf("%d SSRCs", len(r.Wanted))
			}
		}
	})
}
