package ssm

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
)

const sender = 0xABCD

func newSource(change func(*Config)) *Source {
	c := Config{Mode: Summary, SSRC: 0xD5, Summarised: sender, CNAME: "ds", Bandwidth: 8000}
	if change != nil {
		change(&c)
	}
	return New(c)
}

// summary reads the RSI of the source's next compound.
func summary(t *testing.T, s *Source, now clock.Time) (rtcp.RSI, []uint8) {
	t.Helper()
	b := s.AppendSummary(now, 0x1234, nil)
	var p rtcp.Packet
	var r rtcp.RSI
	for it := rtcp.Parse(b); it.Next(&p); {
		if p.Type == rtcp.TypeRSI {
			var ok bool
			if r, ok = p.ReadRSI(); !ok {
				t.Fatalf("broken RSI %x", b)
			}
		}
	}
	return r, kinds(b)
}

func lost(fraction uint8, total uint32, jitter uint32) prtcp.ReceptionReport {
	return prtcp.ReceptionReport{SSRC: sender, FractionLost: fraction, TotalLost: total, Jitter: jitter}
}

// TestSSM2_SummaryAndReflection: the summary is RR, SDES, RSI with block 12 or
// 11 and holds no report of a receiver; reflection gives each compound back as
// it was, once.
func TestSSM2_SummaryAndReflection(t *testing.T) {
	s := newSource(nil)
	if out := s.HandleReport(second, report(t, 7, "r7", lost(10, 1, 5))); out != nil {
		t.Errorf("summary told the group %x", out)
	}
	r, types := summary(t, s, second)
	if !bytes.Equal(types, []uint8{rtcp.TypeRR, rtcp.TypeSDES, rtcp.TypeRSI}) {
		t.Errorf("types %v", types)
	}
	if r.Sender != 0xD5 || r.Summarised != sender || r.NTP != 0x1234 || r.Group == nil || r.Bandwidth != nil {
		t.Errorf("%+v", r)
	}
	hidden := newSource(func(c *Config) { c.Hide = true })
	hidden.HandleReport(second, report(t, 7, "r7"))
	if r, _ := summary(t, hidden, second); r.Group != nil || r.Bandwidth == nil || !r.Bandwidth.Receivers {
		t.Errorf("%+v", r)
	}
	mirror := newSource(func(c *Config) { c.Mode = Reflection })
	in := report(t, 7, "r7", lost(10, 1, 5))
	if out := mirror.HandleReport(second, bytes.Clone(in)); !bytes.Equal(out, in) {
		t.Errorf("reflected %x, not %x", out, in)
	}
	if _, types := summary(t, mirror, second); !bytes.Equal(types, []uint8{rtcp.TypeRR, rtcp.TypeSDES}) {
		t.Errorf("types %v", types)
	}
	if out := mirror.HandleReport(second, []byte{1, 2, 3}); out != nil || mirror.Bad != 1 {
		t.Error("nonsense reflected")
	}
}

// TestSSM4_AThousandReceivers: block 12 has their number, and what they send
// stays within their share, each by what it was told.
func TestSSM4_AThousandReceivers(t *testing.T) {
	const n = 1000
	s := newSource(nil)
	random := seeded(t)
	type receiver struct {
		timer Timer
		body  []byte
	}
	var all []*receiver
	told := Share{Bandwidth: 8000, Members: 1, Senders: 1, Average: 120}
	now := second
	for i := range uint32(n) {
		r := &receiver{timer: Timer{Random: random}, body: report(t, 0x10000+i, fmt.Sprintf("receiver-%d", i), lost(0, 0, 0))}
		r.timer.Start(now, told)
		all = append(all, r)
	}
	octets, from := 0, clock.Time(0)
	nextSummary := now
	end := 1500 * second
	for now < end {
		if now >= nextSummary {
			r, _ := summary(t, s, now)
			told.Members, told.Average = int(r.Group.Size)+1, int(r.Group.Packet)
			nextSummary = now.Add(s.Interval())
		}
		if from == 0 && now > 500*second { // settled
			from = now
		}
		for _, r := range all {
			if r.timer.Next() <= now && r.timer.Expired(now, told) {
				s.HandleReport(now, r.body)
				if from != 0 {
					octets += len(r.body) + 28
				}
			}
		}
		now += second / 4
	}
	r, _ := summary(t, s, now)
	if r.Group.Size < 950 || r.Group.Size > 1050 {
		t.Errorf("group size %d", r.Group.Size)
	}
	rate := float64(octets) / end.Sub(from).Seconds()
	if limit := 8000 * 0.0375; rate > limit {
		t.Errorf("receivers send %.1f bytes/s, more than %.1f", rate, limit)
	} else if rate < limit/2 {
		t.Errorf("receivers send %.1f bytes/s, far below their %.1f", rate, limit)
	}
	t.Logf("size %d, %.1f of 300 bytes/s", r.Group.Size, rate)
}

// TestSSM5_BandwidthPerReceiver: block 11 with R bounds each receiver whatever
// the group's size.
func TestSSM5_BandwidthPerReceiver(t *testing.T) {
	b := rtcp.AppendRSI(nil, &rtcp.RSI{Bandwidth: &rtcp.Bandwidth{Receivers: true, KBits: 1 << 15}})
	var p rtcp.Packet
	it := rtcp.Parse(b)
	it.Next(&p)
	r, ok := p.ReadRSI()
	if !ok || !r.Bandwidth.Receivers || r.Bandwidth.Senders {
		t.Fatalf("%+v", r)
	}
	kbits := float64(r.Bandwidth.KBits) / 65536
	if kbits != 0.5 {
		t.Fatalf("%v kbit/s", kbits)
	}
	for _, size := range []int{60, 120, 500} {
		every := PerReceiver(kbits, size)
		if rate := float64(size) * 8 / every.Seconds() / 1000; rate > 0.5+1e-9 {
			t.Errorf("%d bytes every %v are %v kbit/s", size, every, rate)
		}
	}
	s := newSource(func(c *Config) { c.Hide = true; c.Bandwidth = 200_000 })
	for i := range uint32(100) {
		s.HandleReport(second, report(t, i+1, fmt.Sprint(i)))
	}
	got, _ := summary(t, s, second)
	if each := float64(got.Bandwidth.KBits) / 65536; each < 0.59 || each > 0.61 { // 60 kbit/s for 100
		t.Errorf("%v kbit/s each", each)
	}
}

// TestSSM6_Median: block 10 has the median of what RRs say; blocks in SRs do not
// count.
func TestSSM6_Median(t *testing.T) {
	s := newSource(nil)
	for i, f := range []uint8{10, 250, 30, 20, 40} {
		s.HandleReport(second, report(t, uint32(i+1), fmt.Sprint(i), lost(f, uint32(f), uint32(f)*2)))
	}
	check := func(when string) {
		r, _ := summary(t, s, second)
		if r.Stats == nil || r.Stats.MedianFraction != 30 || r.Stats.HighestLost != 250 || r.Stats.MedianJitter != 60 {
			t.Errorf("%s: %+v", when, r.Stats)
		}
		if len(r.Distributions) != 1 || r.Distributions[0].Buckets[15] != 1 || r.Distributions[0].Buckets[1] != 2 {
			t.Errorf("%s: %+v", when, r.Distributions)
		}
	}
	check("RRs")
	for i := range uint32(5) {
		s.HandleReport(second, rtcpOf(t, &prtcp.SenderReport{SSRC: 100 + i, Reports: []prtcp.ReceptionReport{lost(255, 5000, 9999)}}))
	}
	check("with SRs")
}

// TestSSM7_Collision: two receivers with one SSRC and two CNAMEs are two, and
// their SSRC is told once.
func TestSSM7_Collision(t *testing.T) {
	s := newSource(nil)
	s.HandleReport(second, report(t, 42, "one"))
	s.HandleReport(second, report(t, 42, "two"))
	s.HandleReport(second, report(t, 42, "one"))
	r, _ := summary(t, s, second)
	if r.Group.Size != 2 || len(r.Collisions) != 1 || r.Collisions[0] != 42 {
		t.Errorf("%+v", r)
	}
	if r, _ := summary(t, s, second); len(r.Collisions) != 0 || r.Group.Size != 2 {
		t.Errorf("told again: %+v", r)
	}
}

// TestReceiversComeAndGo: BYE and silence take receivers off; strangers cannot
// fill the memory.
func TestReceiversComeAndGo(t *testing.T) {
	s := newSource(nil)
	s.HandleReport(second, report(t, 1, "a"))
	s.HandleReport(second, report(t, 2, "b"))
	s.HandleReport(second, rtcpOf(t, &prtcp.ReceiverReport{SSRC: 1}, &prtcp.Goodbye{Sources: []uint32{1}}))
	if r, _ := summary(t, s, second); r.Group.Size != 1 {
		t.Errorf("size %d", r.Group.Size)
	}
	if r, _ := summary(t, s, second.Add(2*time.Minute)); r.Group.Size != 0 {
		t.Errorf("size %d", r.Group.Size)
	}
	for i := range uint32(maxReceivers + 100) {
		s.HandleReport(200*second, report(t, i+1, "x"))
	}
	if s.Size() != maxReceivers || s.Full != 100 {
		t.Errorf("%d receivers, %d refused", s.Size(), s.Full)
	}
}

func FuzzReport(f *testing.F) {
	b, _ := prtcp.Marshal([]prtcp.Packet{&prtcp.ReceiverReport{SSRC: 1, Reports: []prtcp.ReceptionReport{{SSRC: sender}}}})
	f.Add(b)
	f.Add([]byte{0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, 'x', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, mirror := newSource(nil), newSource(func(c *Config) { c.Mode = Reflection })
		m := newMember(t)
		for now := second; now < 4*second; now += second {
			s.HandleReport(now, b)
			if out := mirror.HandleReport(now, b); out != nil && !bytes.Equal(out, b) {
				t.Error("changed on its way")
			}
			m.HandleRTCP(now, other, b)
			m.HandleRTP(now, other, b)
		}
		out := s.AppendSummary(4*second, 1, nil)
		if len(out)%4 != 0 || s.Size() > 1 {
			t.Errorf("%d bytes, %d receivers", len(out), s.Size())
		}
	})
}
