package bwe

import (
	"testing"
	"time"
)

// marking sends ten packets each 80 ms for two seconds, of which one in every is
// marked, and returns what is left of the rate.
func marking(ect1 bool, every int) float64 {
	c := New(Config{Start: 1_000_000})
	var rs []Result
	now, seq := sec, 0
	var before Rate
	for i := range 50 {
		rs = rs[:0]
		for range 10 {
			now = now.Add(8 * time.Millisecond)
			c.OnSent(now, Packet{Seq: uint16(seq), Size: 1000})
			r := Result{Seq: int64(seq), Size: 1000, Sent: now, Received: true, Timed: true, At: time.Duration(now) + 50*time.Millisecond}
			r.CE = i >= 25 && seq%every == 0
			r.ECT1, r.ECT0 = ect1 && !r.CE, !ect1 && !r.CE
			rs = append(rs, r)
			seq++
		}
		c.OnFeedback(now.Add(100*time.Millisecond), rs)
		if i == 24 {
			before = c.Target()
		}
	}
	return float64(c.Target()) / float64(before)
}

// TestMarksAreAnsweredAsTheyAreMeant: with ECT(1) in proportion to how many there
// are (RFC 9331, RFC 8257), else as a loss is, once a round trip.
func TestMarksAreAnsweredAsTheyAreMeant(t *testing.T) {
	few, many, classic := marking(true, 50), marking(true, 2), marking(false, 50)
	t.Logf("left with one in 50 marked: %.2f, one in two: %.2f, one in 50 without ECT(1): %.2f", few, many, classic)
	if few < 0.7 || many > 0.3*few || many > classic {
		t.Error("not in proportion")
	}
	if classic > 0.9 {
		t.Error("classic marks were not heeded")
	}
}
