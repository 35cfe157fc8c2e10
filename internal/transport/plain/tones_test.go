package plain

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

func sound(seq uint16, ts uint32) []byte {
	b := make([]byte, 12+160)
	b[0] = 0x80
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], 0x5551)
	return b
}

type sent struct {
	pt, seq, ts int
	mark        bool
	ev          rtp.Event
}

func read(b []byte) sent {
	s := sent{
		pt: int(b[1] & 0x7f), mark: b[1]&0x80 != 0,
		seq: int(binary.BigEndian.Uint16(b[2:])), ts: int(binary.BigEndian.Uint32(b[4:])),
	}
	if s.pt == 101 {
		s.ev, _ = rtp.ParseEvent(b[12:])
	}
	return s
}

// TestTones: a key in running sound shares its numbers and clock, takes its
// place, and ends three times; the sender report follows.
func TestTones(t *testing.T) {
	tn := Tones{SSRC: 0x5551, PT: 101, Clock: 8000}
	var out []sent
	emit := func(b []byte) { out = append(out, read(b)) }
	keypad, presses := rtp.Keypad{}, []rtp.Press{}
	now := clock.Time(time.Second)
	for i := range 40 {
		if i == 10 {
			for _, k := range "5#" {
				code, _ := rtp.KeyCode(byte(k))
				tn.Press(code, 100*time.Millisecond)
			}
		}
		tn.Tick(now, func() uint32 { return 1 }, emit)
		if b := sound(uint16(1000+i), uint32(160*i)); tn.Rewrite(now, b) {
			out = append(out, read(b))
		}
		now += 20 * ms
	}
	var h rtp.Header
	ends, marks := 0, 0
	for i, s := range out {
		if i > 0 && s.seq != out[i-1].seq+1 {
			t.Fatalf("sequence %d after %d", s.seq, out[i-1].seq)
		}
		if i > 0 && s.ts < out[i-1].ts {
			t.Fatalf("time goes back: %d after %d", s.ts, out[i-1].ts)
		}
		if s.pt != 101 {
			continue
		}
		if s.mark {
			marks++
		}
		if s.ev.End {
			ends++
			if s.ev.Duration != 800 {
				t.Errorf("duration %d ticks", s.ev.Duration)
			}
		}
		h.SSRC, h.TS = 0x5551, uint32(s.ts)
		if p, ok := keypad.Packet(&h, s.ev.Append(nil), 8000); ok {
			presses = append(presses, p)
		}
	}
	if ends != 6 || marks != 2 {
		t.Errorf("%d ends, %d marks", ends, marks)
	}
	want := []rtp.Press{{Key: '5', Duration: 100 * time.Millisecond}, {Key: '#', Duration: 100 * time.Millisecond}}
	if len(presses) != 2 || presses[0] != want[0] || presses[1] != want[1] {
		t.Errorf("%+v", presses)
	}
	sr := rtcp.AppendSR(nil, 0x5551, rtcp.SenderInfo{RTP: 5, Packets: 40, Octets: 6400}, nil)
	tn.RewriteRTCP(sr)
	var p rtcp.Packet
	it := rtcp.Parse(sr)
	it.Next(&p)
	if si, _ := p.SenderInfo(); int(si.Packets) != len(out) || si.RTP != 5 {
		t.Errorf("SR says %d packets of %d", si.Packets, len(out))
	}
}

// TestTonesBeginAStream: with nobody talking, a key makes the stream, and sound
// that comes later goes on from it.
func TestTonesBeginAStream(t *testing.T) {
	tn := Tones{SSRC: 0x5551, PT: 101, Clock: 8000}
	tn.Press(1, 60*time.Millisecond)
	var out []sent
	now := clock.Time(time.Second)
	for next := now; next != 0; now = max(now, next) {
		next = tn.Tick(now, func() uint32 { return 0xfffffff0 }, func(b []byte) { out = append(out, read(b)) })
	}
	last := out[len(out)-1]
	now += clock.Time(time.Second)
	b := sound(77, 123456)
	if !tn.Rewrite(now, b) {
		t.Fatal("sound left out")
	}
	s := read(b)
	if uint16(s.seq) != uint16(last.seq+1) || !s.mark {
		t.Errorf("sound %+v after key %+v", s, last)
	}
	if d := uint32(s.ts) - uint32(last.ts); d < 8000 || d > 10000 {
		t.Errorf("clock went %d ticks", d)
	}
	b = sound(78, 123456+160)
	tn.Rewrite(now, b)
	if n := read(b); uint16(n.seq) != uint16(s.seq+1) || uint32(n.ts)-uint32(s.ts) != 160 {
		t.Errorf("%+v after %+v", n, s)
	}
}

func TestTonesAreBounded(t *testing.T) {
	var off Tones
	if off.Press(1, time.Second) {
		t.Error("a key without a format")
	}
	tn := Tones{SSRC: 1, PT: 101, Clock: 8000}
	n := 0
	for tn.Press(1, time.Hour) {
		n++
	}
	if n != maxTones || tn.queue[0].ticks > 0xffff {
		t.Errorf("%d keys, %d ticks", n, tn.queue[0].ticks)
	}
}

// BenchmarkPacket is what a packet each way costs beside its system call.
func BenchmarkPacket(b *testing.B) {
	b.ReportAllocs()
	p, tn := NewPath(described, netip.AddrPort{}, false, LatchAny), Tones{SSRC: 0x5551, PT: 101, Clock: 8000}
	out := sound(1, 160)
	for i := range b.N {
		now := clock.Time(i+1) * 20 * ms
		p.Heard(now, described, 1, uint16(i), false)
		p.Targets()
		tn.Rewrite(now, out)
	}
}
