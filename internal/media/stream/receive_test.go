package stream

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
)

const start = clock.Time(10 * time.Second)

func TestReceiverVerdicts(t *testing.T) {
	var r Receiver
	for i, c := range []struct {
		seq    uint16
		repair bool
		want   Verdict
	}{
		{65534, true, TooOld}, // a repair of nothing
		{65534, false, Fresh}, {65534, false, Duplicate}, {1, false, Fresh}, {65535, false, Late}, {0, true, Late}, {0, false, Duplicate},
		{30000, false, TooOld}, {30007, false, TooOld}, {30008, false, Fresh}, // two in a row make a restart
		{30009, false, Fresh}, {2, false, TooOld},
		{30011, true, TooOld}, // a repair ahead of the stream
	} {
		if _, v := r.Packet(start, c.seq, 0, c.repair); v != c.want {
			t.Errorf("step %d, %d: %d, want %d", i, c.seq, v, c.want)
		}
	}
}

func TestReceiverNumbersOnlyRise(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var r Receiver
	high := int64(0)
	seq := uint16(60000)
	for range 20000 {
		switch rnd.IntN(200) {
		case 0:
			seq = uint16(rnd.Uint32())
		default:
			seq += uint16(rnd.IntN(3))
		}
		ext, v := r.Packet(start, seq, 0, false)
		if v == Fresh {
			if ext <= high {
				t.Fatalf("fresh %d after %d", ext, high)
			}
			high = ext
		}
		if v != TooOld && uint16(ext) != seq {
			t.Fatalf("%d for %d", ext, seq)
		}
	}
}

func TestReceiverJitter(t *testing.T) { // RFC 3550, A.8
	r := Receiver{Clock: 8000}
	now := start
	for i := range 1000 {
		at := now
		if i%2 == 1 {
			at = now.Add(10 * time.Millisecond) // alternating 10 ms = 80 units
		}
		r.Packet(at, uint16(i), uint32(i*160), false)
		now = now.Add(20 * time.Millisecond)
	}
	if b, ok := r.Block(now); !ok || b.Jitter < 78 || b.Jitter > 80 {
		t.Fatalf("jitter %d", b.Jitter)
	}
}

func TestReceiverReorderingIsNoLoss(t *testing.T) {
	var r Receiver
	for _, s := range []uint16{1, 3, 2, 5, 4} {
		r.Packet(start, s, 0, false)
	}
	if b, _ := r.Block(start); b.Lost != 0 || b.Fraction != 0 {
		t.Fatalf("%+v", b)
	}
	// Repairs do not hide the path's loss from its sender, but count for us.
	r.Packet(start, 7, 0, false)
	r.Packet(start, 6, 0, true)
	if b, _ := r.Block(start); b.Lost != 1 {
		t.Fatalf("%+v", b)
	}
	if exp, got := r.Counts(); exp != got {
		t.Fatalf("%d of %d", got, exp)
	}
}

// TestRecorder: every arrival is reported once, at the right time, whatever
// the losses, reordering and pauses.
func TestRecorder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	var r Recorder
	now := start
	sent := map[uint16]clock.Time{}
	got := map[uint16]clock.Time{}
	seq := uint16(65000)
	read := func() {
		for more := true; more; {
			var b []byte
			if b, more = r.Append(nil, 1, 2); b == nil {
				return
			}
			var p prtcp.TransportLayerCC
			if err := p.Unmarshal(b); err != nil {
				t.Fatal(err)
			}
			at, k := int64(p.ReferenceTime)*64000, 0
			id := p.BaseSequenceNumber
			for _, c := range p.PacketChunks {
				var sym []uint16
				switch c := c.(type) {
				case *prtcp.RunLengthChunk:
					sym = slices.Repeat([]uint16{c.PacketStatusSymbol}, int(c.RunLength))
				case *prtcp.StatusVectorChunk:
					sym = c.SymbolList
				}
				for _, s := range sym {
					if s != 0 {
						at += p.RecvDeltas[k].Delta
						k++
						got[id] = clock.Time(at * 1000)
					}
					id++
				}
			}
		}
	}
	for range 5000 {
		now = now.Add(time.Duration(rnd.IntN(3000)) * time.Microsecond)
		if rnd.IntN(500) == 0 {
			now = now.Add(9 * time.Second)
		}
		if rnd.IntN(10) > 0 {
			s := seq
			if rnd.IntN(20) == 0 {
				s -= uint16(rnd.IntN(4))
			}
			if _, dup := sent[s]; !dup {
				sent[s] = now
				r.Record(now, s)
			}
		}
		seq++
		if d := r.Due(); d != 0 && now >= d {
			read()
		}
	}
	read()
	for s, at := range sent {
		d := got[s].Sub(at)
		if _, ok := got[s]; !ok || d > time.Millisecond || d < -time.Millisecond {
			t.Fatalf("%d arrived at %d, reported %d", s, at, got[s])
		}
	}
	if r.Due() != 0 {
		t.Fatal("due with nothing to say")
	}
}

func TestEstimator(t *testing.T) {
	var e Estimator
	now := start
	exp, got := uint64(0), uint64(0)
	run := func(sec int, bytes int, loss float64) {
		for range sec {
			e.Add(now, bytes)
			now = now.Add(time.Second)
			exp += 100
			got += 100 - uint64(100*loss)
			e.Update(now, exp, got)
		}
	}
	run(20, 100_000, 0)
	if v := e.Rate(); v < 3_000_000 {
		t.Fatalf("after growth: %d", v)
	}
	run(20, 100_000, 0.2)
	if v := e.Rate(); v > 1_000_000 || v < 790_000 {
		t.Fatalf("after loss: %d, goodput 800000", v)
	}
	run(100, 100_000, 0)
	if v := e.Rate(); v != RembCap {
		t.Fatalf("cap: %d", v)
	}
}

func TestSenderReportMapping(t *testing.T) {
	var r Receiver
	r.HandleSR(start, rtcp.SenderInfo{NTP: 0x1122334455667788})
	r.Packet(start, 1, 0, false)
	if b, _ := r.Block(start.Add(time.Second)); b.LSR != 0x33445566 || b.DLSR != 65536 {
		t.Fatalf("%+v", b)
	}
}
