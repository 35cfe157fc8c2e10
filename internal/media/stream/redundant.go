package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/red"
)

// When a leg's sound is sent with redundancy (RFC 2198): from one lost packet in
// a hundred on, each packet repeats the one before it, and more where several in
// a row are often lost. Three of them leave 0.01 % to conceal at 10 % lost, where
// two leave 0.1 %, as much as is allowed for both ways together (Q6). It costs
// what the sound itself costs, or as many times that, so it ends when the path
// has been clean for a while. Until the peer has told, one is repeated: its first
// report comes after up to five seconds of sound.
const (
	lossHold   = 15 * time.Second // three reports of sound
	lossSpan   = 6 * time.Second  // what one tells of
	maxRepeats = 3
	repeatBack = 6 // numbers looked at for them
	// redMax is the longest payload with redundancy: what we make ourselves stays
	// within 1200 octets of UDP, header and authentication tag included (Q15).
	redMax = 1080
	// redLeast is the rate below which a path has no room for doubling sound.
	redLeast = 96_000
)

// lossFor is the fraction lost, which counts in steps of 1/256, from which so many
// are repeated.
var lossFor = [maxRepeats]float64{3. / 256, 10. / 256, 20. / 256}

// redundancy is how much a leg's sound needs, and what the packet being written
// repeats.
type redundancy struct {
	told bool
	at   [maxRepeats]clock.Time // when losses last asked for so many

	n    int // repeated payloads of the packet at hand, latest first
	of   [maxRepeats]*graph.Packet
	pt   uint8 // of the payloads
	size int   // of headers and repeated payloads
}

// heard takes what a report block tells of the path. Against what its own queue
// dropped more of anything is no help: that counts for one.
func (r *redundancy) heard(now clock.Time, lost float64, queue bool) {
	r.told = true
	for i, from := range lossFor {
		if queue && i > 0 {
			break
		}
		if lost >= from {
			r.at[i] = now
		}
	}
}

// lossy reports whether the path has been losing lately.
func (r *redundancy) lossy(now clock.Time) bool { return r.at[0] != 0 && now.Sub(r.at[0]) < lossHold }

// depth returns how many payloads to repeat.
func (r *redundancy) depth(now clock.Time) int {
	for i := maxRepeats - 1; i >= 0; i-- {
		if r.at[i] != 0 && now.Sub(r.at[i]) < lossHold {
			return i + 1
		}
	}
	if !r.told {
		return 1
	}
	return 0
}

// repeat chooses what a packet repeats and reports whether that is anything. What
// we lack ourselves is passed over: receivers go by the times.
func (p *Projection) repeat(now clock.Time, in *graph.Packet, g *segment, pt uint8) bool {
	r := &p.leg.red
	r.n = 0
	if g.src.Track.Encrypted {
		return false
	}
	want := r.depth(now)
	if rate, known := p.leg.Budget(); want == 0 || (known && rate < redLeast) {
		return false
	}
	size := red.HeaderLen(0)
	total := size + int(in.Hdr.PayloadEnd-in.Hdr.PayloadOff)
	for x := in.ExtSeq - 1; r.n < want && x >= max(g.first(), in.ExtSeq-repeatBack); x-- {
		old := g.hist.Get(x)
		if old == nil {
			continue
		}
		if empty(old) || old.Hdr.PayloadType != in.Hdr.PayloadType {
			break
		}
		n := int(old.Hdr.PayloadEnd - old.Hdr.PayloadOff)
		back := in.Hdr.TS - old.Hdr.TS
		if more := n + red.HeaderLen(1) - red.HeaderLen(0); back == 0 || back > red.MaxOffset || n > red.MaxLength || total+more > redMax {
			break
		} else {
			size, total = size+more, total+more
		}
		r.of[r.n] = old
		r.n++
	}
	if r.n == 0 {
		return false
	}
	r.pt, r.size = pt, size
	return true
}

// put writes the headers and the repeated payloads, oldest first; the packet's
// own payload follows where it lies.
func (r *redundancy) put(b []byte, ts uint32) int {
	n := 0
	for i := r.n - 1; i >= 0; i-- {
		x := r.of[i]
		n += red.PutRepeated(b[n:], r.pt, ts-x.Hdr.TS, int(x.Hdr.PayloadEnd-x.Hdr.PayloadOff))
	}
	n += red.PutPrimary(b[n:], r.pt)
	for i := r.n - 1; i >= 0; i-- {
		n += copy(b[n:], r.of[i].Payload())
		r.of[i] = nil
	}
	r.n, r.size = 0, 0
	return n
}
