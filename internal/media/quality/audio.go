package quality

import (
	"math"
	"time"
)

// Audio is what is known of a stream of speech.
type Audio struct {
	Codec  string        // as in SDP
	Loss   float64       // 0..1 after what was repaired by retransmission
	RTT    time.Duration // to the one who hears it
	Jitter time.Duration
	RED    bool // each packet repeats the one before (RFC 2198)
	FEC    bool // Opus in-band FEC
}

const (
	// baseR is R0 - Is of ITU-T G.107 with all parameters at their defaults.
	baseR = 93.2
	// madeIn is coding, packet and device delay of both ends: 20 ms each.
	madeIn = 40 * time.Millisecond
	// fecGain is the share of isolated losses that in-band FEC does not hide: it
	// repeats a frame at a lower rate, and only if the packet after it came.
	fecGain = 0.3
)

// impairment is Ie and Bpl of a codec: G.113, Appendix I, for those it knows;
// Opus and G.722 conceal like G.711 with its concealment (our assumption).
func impairment(codec string) (ie, bpl float64) {
	switch codec {
	case "G729":
		return 11, 19
	case "PCMU", "PCMA", "G722", "opus":
		return 0, 25.1
	}
	return 5, 10
}

// Score estimates the quality with the E-model: R = 93.2 - Id - Ie,eff and its
// mapping to MOS (G.107, section 7 and Annex B). Id is Cole and Rosenbluth's
// reduction of G.107's delay impairment.
func (a Audio) Score() float64 {
	p := clamp(a.Loss, 0, 1)
	switch {
	case a.RED:
		p *= p
	case a.FEC:
		p *= p + fecGain*(1-p)
	}
	ie, bpl := impairment(a.Codec)
	loss := ie + (95-ie)*100*p/(100*p+bpl)
	return mos(baseR - delay(a.RTT/2+2*a.Jitter+madeIn) - loss)
}

// delay is Id for a one-way delay: nothing is noticed below, and turns of
// speech collide above 177 ms.
func delay(d time.Duration) float64 {
	ms := float64(d) / float64(time.Millisecond)
	return 0.024*ms + 0.11*max(0, ms-177.3)
}

// mos maps R to 1..4.5 (G.107, Annex B).
func mos(r float64) float64 {
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}

func clamp(x, low, high float64) float64 {
	if math.IsNaN(x) {
		return low
	}
	return min(max(x, low), high)
}
