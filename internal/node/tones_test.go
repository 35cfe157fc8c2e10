package node

import (
	"encoding/binary"
	"math"
	"time"
)

// G.711 µ-law by its defining segments (ITU-T G.711), for the test's own phones.

func mulaw(v int16) byte {
	sign := byte(0)
	x := int(v)
	if x < 0 {
		sign, x = 0x80, -x
	}
	x = min(x, 32635) + 132
	seg := 7
	for m := 0x4000; seg > 0 && x&m == 0; m >>= 1 {
		seg--
	}
	return ^(sign | byte(seg)<<4 | byte(x>>(seg+3)&0x0f))
}

func linear(b byte) int16 {
	b = ^b
	v := ((int(b&0x0f)<<3 + 132) << (b >> 4 & 7)) - 132
	if b&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

// tone fills one packet's payload with a sine, 20 ms from sample n on.
func tone(dst []byte, hz float64, n int) {
	for i := range dst {
		dst[i] = mulaw(int16(8000 * math.Sin(2*math.Pi*hz*float64(n+i)/8000)))
	}
}

// power is the mean power of a frequency in samples at 8 kHz, in dB of full
// scale, through a Hann window.
func power(x []float64, hz float64) float64 {
	var re, im, norm float64
	for i, v := range x {
		w := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(x)))
		re += v * w * math.Cos(2*math.Pi*hz*float64(i)/8000)
		im += v * w * math.Sin(2*math.Pi*hz*float64(i)/8000)
		norm += w
	}
	return 10 * math.Log10(max(1e-20, 4*(re*re+im*im)/(norm*norm)))
}

// samples decodes the next n packets of sound as they come.
func (p *phone) samples(n int) []float64 {
	p.t.Helper()
	var out []float64
	limit := time.After(herdWait)
	for n > 0 {
		select {
		case d := <-p.gotRTP:
			if len(d.b) < 12 || d.b[1]&0x7f != 0 {
				continue
			}
			head := 12 + 4*int(d.b[0]&0x0f)
			for _, s := range d.b[head:] {
				out = append(out, float64(linear(s))/32768)
			}
			n--
		case <-limit:
			p.t.Fatal("no sound")
		}
	}
	return out
}

// hearsTone waits until half a second of what comes holds one tone and lacks
// another (0: none).
func (p *phone) hearsTone(hz, not float64) {
	p.t.Helper()
	var with, without float64
	for end := time.Now().Add(herdWait); time.Now().Before(end); {
		x := p.samples(25)
		with, without = power(x, hz), -100
		if not != 0 {
			without = power(x, not)
		}
		if with > -30 && without < with-40 {
			return
		}
	}
	p.t.Fatalf("%v Hz at %.1f dB, %v Hz at %.1f dB", hz, with, not, without)
}

// packet makes the next 20 ms of a tone.
func (p *phone) packet(hz float64) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := make([]byte, 12+160)
	b[0], b[1] = 0x80, 0
	p.seq++
	p.ts += 160
	binary.BigEndian.PutUint16(b[2:], p.seq)
	binary.BigEndian.PutUint32(b[4:], p.ts)
	binary.BigEndian.PutUint32(b[8:], p.ssrc)
	tone(b[12:], hz, p.played)
	p.played += 160
	return b
}
