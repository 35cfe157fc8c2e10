package srtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func seal(t testing.TB, s *Sender, seq uint16, ssrc uint32) []byte {
	t.Helper()
	b, err := s.SealRTP(nil, rtpHeader(seq, ssrc, 0, 0), []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compound(ssrc uint32) []byte {
	b := []byte{0x80, 201, 0, 1, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[4:], ssrc)
	return b
}

func TestNewRefusesBadKeys(t *testing.T) {
	for _, p := range profiles {
		key, salt := secrets(p)
		for _, c := range []struct {
			p         Profile
			key, salt []byte
			want      error
		}{{p, key[1:], salt, ErrKeySize}, {p, key, salt[1:], ErrKeySize}, {p, nil, nil, ErrKeySize}, {9, key, salt, ErrProfile}} {
			if _, err := NewSender(c.p, c.key, c.salt); !errors.Is(err, c.want) {
				t.Errorf("sender: %v", err)
			}
			if _, err := NewReceiver(c.p, c.key, c.salt); !errors.Is(err, c.want) {
				t.Errorf("receiver: %v", err)
			}
		}
		if p.String() == "" || Profile(9).String() == "" {
			t.Error("names")
		}
	}
}

// A7: any flipped bit anywhere is a drop, and no drop changes any state: the
// true packet still opens, and the ROC has not moved.
func TestA7_ForgeriesChangeNothing(t *testing.T) {
	for _, p := range profiles {
		t.Run(p.String(), func(t *testing.T) {
			s, r := pair(t, p)
			first := seal(t, s, 65000, 1)
			for i := range first {
				for b := range 8 {
					bad := bytes.Clone(first)
					bad[i] ^= 1 << b
					if out, d := r.OpenRTP(nil, bad); d == DropNone || out != nil {
						t.Fatalf("bit %d of byte %d: %v", b, i, d)
					}
				}
			}
			if n, m := r.Streams(); n != 0 || m != 0 {
				t.Fatalf("%d %d streams made by forgeries", n, m)
			}
			if _, d := r.OpenRTP(nil, first); d != DropNone {
				t.Fatal(d)
			}
			// Forged jumps over the wrap, 2^15 apart, would move a ROC that
			// follows unauthenticated numbers.
			for seq := uint16(100); seq < 60000; seq += 9973 {
				bad := bytes.Clone(first)
				binary.BigEndian.PutUint16(bad[2:], seq)
				if _, d := r.OpenRTP(nil, bad); d == DropNone {
					t.Fatal("opened")
				}
			}
			if _, d := r.OpenRTP(nil, seal(t, s, 65001, 1)); d != DropNone {
				t.Fatal("after forgeries:", d)
			}
		})
	}
}

func TestA7_ForgedRTCPChangesNothing(t *testing.T) {
	for _, p := range profiles {
		s, r := pair(t, p)
		good, err := s.SealRTCP(nil, append(compound(9), "more words.."...))
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 0x80
			if _, d := r.OpenRTCP(nil, bad); d == DropNone {
				t.Fatalf("%v byte %d", p, i)
			}
		}
		if _, m := r.Streams(); m != 0 {
			t.Fatal("state made")
		}
		if _, d := r.OpenRTCP(nil, good); d != DropNone {
			t.Fatal(d)
		}
		if _, d := r.OpenRTCP(nil, good); d != DropReplay {
			t.Fatal(d)
		}
	}
}

func TestUnencryptedRTCPIsRefused(t *testing.T) {
	for _, p := range profiles {
		s, r := pair(t, p)
		b, _ := s.SealRTCP(nil, compound(1))
		at := len(b) - rtcpWord
		if p == AES128CMHMACSHA180 {
			at -= cmTag
		}
		b[at] &= 0x7f
		if _, d := r.OpenRTCP(nil, b); d != DropPlain {
			t.Fatal(d)
		}
	}
}

// RFC 3711, section 3.3.2: replays and packets older than the window.
func TestRFC3711_3_3_2_Replay(t *testing.T) {
	for _, p := range profiles {
		s, r := pair(t, p)
		var packets [][]byte
		for i := range uint16(windowBits + 100) {
			packets = append(packets, seal(t, s, 65300+i, 1))
		}
		last := len(packets) - 1
		for _, i := range []int{0, last, last - windowBits + 1, last - 64, last - 1} {
			if _, d := r.OpenRTP(nil, packets[i]); d != DropNone {
				t.Fatalf("%v packet %d: %v", p, i, d)
			}
			if _, d := r.OpenRTP(nil, packets[i]); d != DropReplay {
				t.Fatalf("%v packet %d again: %v", p, i, d)
			}
		}
		if _, d := r.OpenRTP(nil, packets[last-windowBits]); d != DropReplay {
			t.Fatalf("%v too old: %v", p, d)
		}
	}
}

// The window against a plain set.
func TestWindowProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		start := rapid.Uint64Range(0, 1<<40).Draw(t, "start")
		w.high = start
		w.mark(start)
		seen := map[uint64]bool{start: true}
		at := start
		for range rapid.IntRange(1, 300).Draw(t, "n") {
			step := rapid.Int64Range(-600, 700).Draw(t, "step")
			if step < 0 && uint64(-step) > at {
				step = 0
			}
			i := at + uint64(step)
			fresh := w.high < i || (w.high-i < windowBits && !seen[i])
			if w.fresh(i) != fresh {
				t.Fatalf("index %d, high %d: fresh %v", i, w.high, !fresh)
			}
			if fresh {
				w.mark(i)
				seen[i] = true
				at = w.high
			}
		}
	})
}

// RFC 3711, section 3.3.1: the index is the nearest to the highest one.
func TestRFC3711_3_3_1_Index(t *testing.T) {
	for _, c := range []struct {
		high uint64
		seq  uint16
		want uint64
		ok   bool
	}{
		{0x0000_0005, 0xfffe, 0xfffe, true}, // no ROC before the first
		{0x0001_0005, 0xfffe, 0x0000_fffe, true},
		{0x0000_fffe, 0x0005, 0x0001_0005, true},
		{0x0000_8000, 0x7fff, 0x7fff, true},
		{0x0003_8000, 0x0000, 0x0003_0000, true},
		{0x0003_8001, 0x0000, 0x0004_0000, true},
		{0x0003_7fff, 0xffff, 0x0003_ffff, true},
		{0x0003_7ffe, 0xffff, 0x0002_ffff, true},
		{0xffff_ffff_ffff, 0x0001, 0, false},
	} {
		s := stream{begun: true, window: window{high: c.high}}
		if got, ok := s.index(c.seq); got != c.want || ok != c.ok {
			t.Errorf("high %x seq %x: %x %v, want %x", c.high, c.seq, got, ok, c.want)
		}
	}
}

func TestSenderRepeats(t *testing.T) {
	for _, p := range profiles {
		s, _ := pair(t, p)
		a := seal(t, s, 10, 1)
		b, err := s.SealRTP(nil, rtpHeader(10, 1, 0, 0), []byte("payload"))
		if p == AEADAES128GCM {
			if !errors.Is(err, ErrRepeat) {
				t.Fatal(err)
			}
			seal(t, s, 9, 1) // late, but new: a reordered packet
			continue
		}
		if err != nil || !bytes.Equal(a, b) {
			t.Fatal("a CM retransmission is the same packet", err)
		}
	}
}

func TestSealRefusesBadHeaders(t *testing.T) {
	s, _ := pair(t, AEADAES128GCM)
	long := rtpHeader(1, 1, 2, 3)
	for _, h := range [][]byte{nil, make([]byte, 12), long[:11], long[:len(long)-1], append(bytes.Clone(long), 0)} {
		if _, err := s.SealRTP(nil, h, nil); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", len(h), err)
		}
	}
	if _, err := s.SealRTP(nil, long, make([]byte, 1<<16+1)); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	for _, c := range [][]byte{nil, make([]byte, 7), make([]byte, 8)} {
		if _, err := s.SealRTCP(nil, c); !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	}
}

func TestSenderLimits(t *testing.T) {
	s, _ := pair(t, AEADAES128GCM)
	for i := range uint32(MaxSendStreams) {
		seal(t, s, 1, i)
	}
	if _, err := s.SealRTP(nil, rtpHeader(1, MaxSendStreams, 0, 0), nil); !errors.Is(err, ErrStreams) {
		t.Fatal(err)
	}
	s.Forget(3)
	seal(t, s, 1, MaxSendStreams)
	s.rtcp = encrypted - 1
	if _, err := s.SealRTCP(nil, compound(1)); !errors.Is(err, ErrExhausted) {
		t.Fatal(err)
	}
	i, _ := s.streams.find(5)
	s.streams.list[i].high = 1<<48 - 1
	if _, err := s.SealRTP(nil, rtpHeader(0, 5, 0, 0), nil); !errors.Is(err, ErrExhausted) {
		t.Fatal(err)
	}
}

// D10: an authentic but hostile publisher with a thousand SSRCs keeps at most
// 50, and cannot push out the streams in use.
func TestD10_StreamsAreBounded(t *testing.T) {
	for _, p := range profiles {
		s, r := pair(t, p)
		refused := 0
		for i := range uint32(1000) {
			if _, d := r.OpenRTP(nil, seal(t, s, 1, i)); d == DropStreams {
				refused++
			}
		}
		if n, _ := r.Streams(); n != DefaultMaxStreams || refused != 950 {
			t.Fatalf("%d streams, %d refused", n, refused)
		}
		if _, d := r.OpenRTP(nil, seal(t, s, 2, 0)); d != DropNone {
			t.Fatal("first stream lost:", d)
		}
		for i := range uint16(idleTurns) { // one stream runs on, the others end
			if _, d := r.OpenRTP(nil, seal(t, s, 3+i, 0)); d != DropNone {
				t.Fatal(d)
			}
		}
		if _, d := r.OpenRTP(nil, seal(t, s, 2, 999)); d != DropNone {
			t.Fatal("a new stream must replace a dead one:", d)
		}
		if n, _ := r.Streams(); n != DefaultMaxStreams {
			t.Fatal(n)
		}
		r.Forget(999)
		if n, _ := r.Streams(); n != DefaultMaxStreams-1 {
			t.Fatal(n)
		}
	}
}

func TestOpenMalformed(t *testing.T) {
	for _, p := range profiles {
		s, r := pair(t, p)
		good := seal(t, s, 1, 1)
		for n := range len(good) {
			if _, d := r.OpenRTP(nil, good[:n]); d == DropNone {
				t.Fatalf("%d bytes opened", n)
			}
		}
		for name, b := range map[string][]byte{
			"version 1":         append([]byte{0x40}, good[1:]...),
			"15 CSRCs, short":   append([]byte{0x8f}, good[1:]...),
			"extension overrun": append(append([]byte{0x90}, good[1:12]...), append([]byte{0xbe, 0xde, 0xff, 0xff}, good[12:]...)...),
			"extension cut":     append([]byte{0x90}, good[1:14]...),
		} {
			if _, d := r.OpenRTP(nil, b); d != DropMalformed {
				t.Errorf("%s: %v", name, d)
			}
		}
		rtcp, _ := s.SealRTCP(nil, compound(1))
		for n := range len(rtcp) {
			if _, d := r.OpenRTCP(nil, rtcp[:n]); d == DropNone {
				t.Fatalf("rtcp: %d bytes opened", n)
			}
		}
	}
	for d := DropNone; d <= DropCount; d++ {
		if d.String() == "" {
			t.Error("names")
		}
	}
}

// Opening in place, and into a buffer that holds something already.
func TestOpenDestinations(t *testing.T) {
	for _, p := range profiles {
		s, r := pair(t, p)
		want := append(rtpHeader(1, 1, 0, 0), "payload"...)
		a := seal(t, s, 1, 1)
		if out, d := r.OpenRTP(a[:0], a); d != DropNone || !bytes.Equal(out, want) {
			t.Fatalf("%v in place: %v %q", p, d, out)
		}
		out, d := r.OpenRTP([]byte("before"), seal(t, s, 2, 1))
		binary.BigEndian.PutUint16(want[2:], 2)
		binary.BigEndian.PutUint32(want[4:], 6000)
		if d != DropNone || !bytes.Equal(out, append([]byte("before"), want...)) {
			t.Fatalf("%v appended: %v %q", p, d, out)
		}
		sealed, err := s.SealRTP([]byte("before"), rtpHeader(3, 1, 0, 0), []byte("payload"))
		if err != nil || !bytes.HasPrefix(sealed, []byte("before")) {
			t.Fatal(err)
		}
		if _, d := r.OpenRTP(nil, sealed[6:]); d != DropNone {
			t.Fatal(d)
		}
		c, _ := s.SealRTCP([]byte("before"), compound(1))
		if out, d := r.OpenRTCP(nil, c[6:]); d != DropNone || !bytes.Equal(out, compound(1)) {
			t.Fatal(d)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("not counted under the race detector")
		return
	}
	for _, p := range profiles {
		s, r := pair(t, p)
		hdr, payload := rtpHeader(0, 1, 0, 2), body(1100, 1)
		mid, clear := make([]byte, 0, 1500), make([]byte, 0, 1500)
		seq := uint16(0)
		if n := testing.AllocsPerRun(500, func() {
			seq++
			binary.BigEndian.PutUint16(hdr[2:], seq)
			b, err := s.SealRTP(mid, hdr, payload)
			if err != nil {
				t.Fatal(err)
			}
			if _, d := r.OpenRTP(clear, b); d != DropNone {
				t.Fatal(d)
			}
			if _, d := r.OpenRTP(clear, b); d != DropReplay {
				t.Fatal(d)
			}
			b, _ = s.SealRTCP(mid, hdr)
			if _, d := r.OpenRTCP(clear, b); d != DropNone {
				t.Fatal(d)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", p, n)
		}
	}
}

func FuzzOpenRTP(f *testing.F) {
	s, _ := pair(f, AEADAES128GCM)
	c, _ := pair(f, AES128CMHMACSHA180)
	f.Add(seal(f, s, 1, 1), false)
	f.Add(seal(f, c, 1, 1), true)
	f.Add([]byte{0x9f, 96, 0, 1}, true)
	f.Fuzz(func(t *testing.T, b []byte, cm bool) {
		p := AEADAES128GCM
		if cm {
			p = AES128CMHMACSHA180
		}
		_, r := pair(t, p)
		out, d := r.OpenRTP(nil, b)
		n, _ := r.Streams()
		if (d == DropNone) != (n == 1) || d == DropNone && len(out) > len(b) {
			t.Fatalf("%v with %d streams", d, n)
		}
		oracle := pionContext(t, p)
		if _, err := oracle.DecryptRTP(nil, bytes.Clone(b), nil); (err == nil) != (d == DropNone) {
			t.Fatalf("%v, pion says %v", d, err)
		}
	})
}

func FuzzOpenRTCP(f *testing.F) {
	s, _ := pair(f, AEADAES128GCM)
	c, _ := pair(f, AES128CMHMACSHA180)
	a, _ := s.SealRTCP(nil, compound(1))
	b, _ := c.SealRTCP(nil, compound(1))
	f.Add(a, false)
	f.Add(b, true)
	f.Fuzz(func(t *testing.T, b []byte, cm bool) {
		p := AEADAES128GCM
		if cm {
			p = AES128CMHMACSHA180
		}
		_, r := pair(t, p)
		_, d := r.OpenRTCP(nil, b)
		if _, n := r.Streams(); (d == DropNone) != (n == 1) {
			t.Fatalf("%v with %d streams", d, n)
		}
	})
}
