package bwe

import (
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
)

// TestRFC8083_Congestion: ten times TCP's rate for a whole interval, not once
// (section 4.3).
func TestRFC8083_Congestion(t *testing.T) {
	// 1000-byte packets, 100 ms, 10 % loss: TCP 310 kbit/s.
	b := Breaker{}
	b.Start(sec)
	for i := range 60 {
		at := sec.Add(time.Duration(i+1) * time.Second)
		if b.Report(at, Report{Highest: uint32(i * 100), Fraction: 0.1, Sent: 2_500_000, Packet: 1000, RTT: 100 * time.Millisecond}) != Closed {
			t.Fatal("opened below ten times TCP's rate")
		}
	}
	b.Start(sec)
	opened := -1
	for i := range 60 {
		at := sec.Add(time.Duration(i+1) * time.Second)
		if b.Report(at, Report{Highest: uint32(i*100 + 1), Fraction: 0.1, Sent: 4_000_000, Packet: 1000, RTT: 100 * time.Millisecond}) != Closed {
			opened = i + 1
			break
		}
	}
	if b.Open() != Congestion || opened != 12 { // means of ten, three in a row
		t.Errorf("%v after %d reports", b.Open(), opened)
	}
	// Five percent in bursts, from far away: three reports of 12 % in a row, and a
	// second of 3 Mbit/s for a key picture, are no congestion.
	b.Start(sec)
	for i := range 60 {
		r := Report{Highest: uint32(i*100 + 1), Fraction: 0.03, Sent: 1_500_000, Packet: 1000, RTT: 200 * time.Millisecond}
		if i%10 < 3 {
			r.Fraction = 0.12
		}
		if i%10 == 2 {
			r.Sent = 3_000_000
		}
		if b.Report(sec.Add(time.Duration(i+1)*time.Second), r) != Closed {
			t.Fatalf("opened after %d reports with bursts", i+1)
		}
	}
}

// TestRFC8083_CongestionControlDidItsDuty: a path fell to a tenth and lost half for a
// second. Means over ten seconds still tell of the rate before; what is sent now does not.
func TestRFC8083_CongestionControlDidItsDuty(t *testing.T) {
	b := Breaker{}
	b.Start(sec)
	for i := range 30 {
		r := Report{Highest: uint32(i*100 + 1), Sent: 2_800_000, Packet: 1000, RTT: 300 * time.Millisecond}
		switch {
		case i == 15:
			r.Fraction, r.Sent = 0.6, 1_500_000
		case i > 15:
			r.Fraction, r.Sent = 0.02, 180_000
		}
		if b.Report(sec.Add(time.Duration(i+1)*time.Second), r) != Closed {
			t.Fatalf("opened after %d reports", i+1)
		}
	}
}

// TestRFC8083_Timeouts: sections 4.1 and 4.2; a stream that is paused by choice
// does not open it.
func TestRFC8083_Timeouts(t *testing.T) {
	b := Breaker{}
	b.Start(sec)
	if b.Tick(sec.Add(2900*time.Millisecond)) != Closed || b.Tick(sec.Add(3100*time.Millisecond)) != RTCPTimeout {
		t.Error("reports that never come")
	}
	b.Start(sec)
	n := 0
	for b.Open() == Closed && n < 20 {
		n++
		b.Report(sec.Add(time.Duration(n)*time.Second), Report{Highest: 5, Sent: 100_000, Packet: 1000, RTT: time.Millisecond})
	}
	if b.Open() != MediaTimeout || n != 6 {
		t.Errorf("%v after %d reports", b.Open(), n)
	}
	b.Start(sec)
	b.Pause()
	if b.Tick(sec.Add(time.Hour)) != Closed {
		t.Error("opened while paused")
	}
}

func TestPacerBursts(t *testing.T) {
	var p Pacer
	p.SetRate(2_000_000)
	pace := int(paceFactor * 250_000) // bytes a second
	now, sent := sec, 0
	for now < sec.Add(time.Second) {
		burst := 0
		for p.Room(now) > 0 {
			p.Sent(now, 1200)
			burst += 1200
		}
		if burst > pace/200+1200 {
			t.Fatalf("burst of %d bytes at %v", burst, now.Sub(sec))
		}
		sent += burst
		now = max(p.Next(now), now+1)
	}
	if sent < pace*14/15 || sent > pace*21/20 {
		t.Errorf("%d bytes in a second, %d is the pace", sent, pace)
	}
}

// TestPacerForgetsWhatNobodyPaced: what left while there was no rate to keep to, and
// what never waits, do not stop all else.
func TestPacerForgetsWhatNobodyPaced(t *testing.T) {
	var p Pacer
	p.SetRate(600_000)
	for range 100 { // 2 Mbit/s on trust, for a second
		p.Sent(sec, 2500)
	}
	if d := p.Next(sec).Sub(sec); d > mostDebt {
		t.Errorf("the next leaves after %v", d)
	}
	p.Forgive()
	if d := p.Next(sec).Sub(sec); d > freshBurst {
		t.Errorf("forgiven, it leaves after %v", d)
	}
}

// TestWhatArrivesIsCarried: two megabits that arrive and leave no queue are carried,
// whatever the target says of them; not so with a queue.
func TestWhatArrivesIsCarried(t *testing.T) {
	run := func(queue time.Duration) Rate {
		c := New(Config{})
		now, num := sec, int64(0)
		for i := range 60 {
			list := []Result(nil)
			for range 10 { // 1200 bytes each 5 ms
				at := time.Duration(now) + 10*time.Millisecond + queue*time.Duration(i)/60
				list = append(list, Result{Seq: num, Sent: now, At: at, Size: 1200, Received: true, Timed: true})
				num++
				now = now.Add(5 * time.Millisecond)
			}
			c.OnFeedback(now, list)
		}
		return c.Target()
	}
	if got := run(0); got < 1_900_000 || got > 2_500_000 {
		t.Errorf("%d bit/s on a free path", got)
	}
	if got := run(2 * time.Second); got > 1_000_000 {
		t.Errorf("%d bit/s while a queue grows", got)
	}
}

// TestProbesAtLowRatesAreLongEnough: fifteen milliseconds of 600 kbit/s are two packets,
// and any timer hides what they find.
func TestProbesAtLowRatesAreLongEnough(t *testing.T) {
	var p prober
	p.make(sec, 600_000, 300_000)
	if pr, _ := p.want(sec); pr.Bytes != probeBytes {
		t.Errorf("%d bytes", pr.Bytes)
	}
	p = prober{}
	p.make(sec, 100_000, 50_000)
	if pr, _ := p.want(sec); pr.Bytes != probePackets*probeSmall {
		t.Errorf("%d bytes at a rate whose queue they would be", pr.Bytes)
	}
}

// TestPacerIsGentleNearTheCapacity, and gentler where a queue stands in the path.
func TestPacerIsGentleNearTheCapacity(t *testing.T) {
	var p Pacer
	drain := func(near bool, queue time.Duration) time.Duration {
		p.SetNear(near)
		p.SetRate(2_000_000)
		p.SetQueue(queue)
		return p.Drain(100_000)
	}
	free, near, full := drain(false, 0), drain(true, 0), drain(true, 2*standing)
	if !(free < near && near < full) {
		t.Errorf("100 kB take %v on a free path, %v near the capacity, %v with a queue", free, near, full)
	}
}

// TestPacerLetsAFreshFramePass: a frame at the target's rate leaves at once, a
// key frame of ten times its size does not.
func TestPacerLetsAFreshFramePass(t *testing.T) {
	var p Pacer
	p.SetRate(4_000_000)
	now := sec
	for range 60 { // 4 Mbit/s in frames
		now = now.Add(33 * time.Millisecond)
		for range 16 {
			if p.Fresh(now) <= 0 {
				t.Fatal("a frame had to wait")
			}
			p.Sent(now, 1030)
		}
	}
	now = now.Add(33 * time.Millisecond)
	n := 0
	for p.Fresh(now) > 0 {
		p.Sent(now, 1200)
		n++
	}
	if n > 17 || p.Room(now) > 0 || !p.Next(now).After(now) {
		t.Errorf("a key frame left in a burst of %d packets", n)
	}
}

func TestPacerProbesAtTheRate(t *testing.T) {
	var p Pacer
	p.SetRate(300_000)
	pr := Probe{Cluster: 1, Rate: 1_000_000, Bytes: 3000, Packets: 5}
	now, sent := sec, 0
	for sent < 5000 {
		due, next := p.Probe(now, pr)
		if due > 0 {
			p.ProbeSent(500)
			p.Sent(now, 500)
			sent += 500
			continue
		}
		now = next
	}
	if d := now.Sub(sec); d < 34*time.Millisecond || d > 42*time.Millisecond {
		t.Errorf("5000 bytes at 1 Mbit/s took %v", d)
	}
}

func TestALR(t *testing.T) {
	var a alr
	now := sec
	send := func(share float64, d time.Duration) {
		for end := now.Add(d); now < end; now = now.Add(20 * time.Millisecond) {
			a.sent(now, int(share*float64(Rate(1_000_000).Of(20*time.Millisecond))), 1_000_000)
		}
	}
	if send(0.9, 2*time.Second); a.limited {
		t.Error("at 90 %")
	}
	if send(0.3, 3*time.Second); !a.limited {
		t.Error("not at 30 %")
	}
	if send(0.9, 3*time.Second); a.limited || a.left.IsZero() {
		t.Error("still at 90 %")
	}
}

func TestProbeReckoning(t *testing.T) {
	for _, c := range []struct {
		name     string
		out, in  time.Duration // between packets
		lo, hi   Rate
		received int
	}{
		{"free path", 4 * time.Millisecond, 4 * time.Millisecond, 990_000, 1_010_000, 6},
		{"full path", 4 * time.Millisecond, 8 * time.Millisecond, 470_000, 480_000, 6},
		{"bunched by the path", 4 * time.Millisecond, time.Millisecond, 0, 0, 6},
		{"half lost", 4 * time.Millisecond, 4 * time.Millisecond, 0, 0, 3},
	} {
		var p prober
		p.make(sec, 1_000_000, 1_000_000)
		var got Rate
		for i := range 6 {
			p.sent(sec, 1, 500)
			if i >= c.received {
				continue
			}
		}
		for i := range c.received {
			r := Result{Cluster: 1, Size: 500, Received: true, Timed: true,
				Sent: sec.Add(time.Duration(i) * c.out), At: time.Hour + time.Duration(i)*c.in}
			if f := p.add(&r); f > 0 {
				got = f
			}
		}
		if got < c.lo || got > c.hi {
			t.Errorf("%s: %d", c.name, got)
		}
	}
}

// TestProbesAreBounded: what is not wanted is not probed, and a probe that is
// not sent in time is given up.
func TestProbesAreBounded(t *testing.T) {
	var p prober
	p.start(sec, 300_000, 300_000)
	if _, ok := p.want(sec); ok {
		t.Error("probed beyond what is wanted")
	}
	p = prober{}
	p.start(sec, 300_000, 500_000)
	pr, ok := p.want(sec)
	if !ok || pr.Rate != 600_000 {
		t.Errorf("%+v", pr)
	}
	if _, ok := p.want(sec.Add(2 * time.Second)); ok {
		t.Error("an old probe is still wanted")
	}
}

// TestClassicControl: a leg without feedback by packet lives on REMB and
// reports (draft-ietf-rmcat-gcc-02, section 6).
func TestClassicControl(t *testing.T) {
	c := New(Config{})
	now := sec
	for range 60 {
		now = now.Add(time.Second)
		c.OnLoss(now, 0)
		c.Tick(now)
	}
	if r := c.Target(); r < 2_000_000 {
		t.Errorf("after a minute without loss: %d", r)
	}
	before := c.Target()
	now = now.Add(time.Second)
	c.OnLoss(now, 0.4)
	if r := c.Target(); r > before*85/100 {
		t.Errorf("after 40 %% loss: %d of %d", r, before)
	}
	c.OnREMB(now, 400_000)
	if r := c.Target(); r != 400_000 {
		t.Errorf("REMB: %d", r)
	}
}

// TestCEIsOveruse: marks of RFC 8888 feedback cut the rate without any loss.
func TestCEIsOveruse(t *testing.T) {
	c := New(Config{Start: 1_000_000})
	var rs []Result
	now := sec
	seq := uint16(0)
	for i := range 20 {
		rs = rs[:0]
		for range 10 {
			now = now.Add(8 * time.Millisecond)
			c.OnSent(now, Packet{Seq: seq, Size: 1000})
			rs = append(rs, Result{Seq: int64(seq), Size: 1000, Sent: now, Received: true, Timed: true,
				At: time.Duration(now) + 50*time.Millisecond, CE: i == 19})
			seq++
		}
		if i == 19 {
			before := c.Target()
			c.OnFeedback(now.Add(100*time.Millisecond), rs)
			if c.Target() >= before {
				t.Errorf("%d after marks, %d before", c.Target(), before)
			}
			return
		}
		c.OnFeedback(now.Add(100*time.Millisecond), rs)
	}
}

// leg20 is a leg of 200 packets/s with feedback each 50 ms.
type leg20 struct {
	c      *Controller
	now    clock.Time
	seq    uint16
	buf    []byte
	deltas [10]int32
	count  uint8
}

func (l *leg20) round() {
	base := l.seq
	at := l.now.Add(50 * time.Millisecond)
	for i := range l.deltas {
		l.c.OnSent(l.now, Packet{Seq: l.seq, Size: 1100})
		l.now = l.now.Add(5 * time.Millisecond)
		l.deltas[i] = 20
		l.seq++
	}
	ref := uint32(at / clock.Time(64*time.Millisecond))
	l.deltas[0] = int32((at - clock.Time(ref)*clock.Time(64*time.Millisecond)) / clock.Time(250*time.Microsecond))
	if l.seq%70 == 0 {
		l.deltas[5] = rtcp.Missing
	}
	l.buf = rtcp.AppendTWCC(l.buf[:0], 1, 2, base, ref, l.count, l.deltas[:])
	l.count++
	it := rtcp.Parse(l.buf)
	var p rtcp.Packet
	it.Next(&p)
	if tw, ok := p.TWCC(); ok {
		l.c.OnTWCC(l.now.Add(50*time.Millisecond), tw)
	}
	l.c.Tick(l.now.Add(50 * time.Millisecond))
	l.c.WantProbe(l.now.Add(50 * time.Millisecond))
}

func TestNothingIsAllocatedAfterTheStart(t *testing.T) {
	l := &leg20{c: New(Config{}), now: sec}
	for range 200 {
		l.round()
	}
	if n := testing.AllocsPerRun(500, l.round); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
}

// BenchmarkLeg is ten packets sent, one feedback taken, one tick.
func BenchmarkLeg(b *testing.B) {
	l := &leg20{c: New(Config{}), now: sec}
	for range 200 {
		l.round()
	}
	b.ReportAllocs()
	for b.Loop() {
		l.round()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10, "ns/packet")
}

func BenchmarkOnSent(b *testing.B) {
	c := New(Config{})
	now, seq := sec, uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		c.OnSent(now, Packet{Seq: seq, Size: 1100})
		seq++
	}
}

// TestCliffInOneFrame: the packets of one frame come one by one at a tenth of the
// target; jitter, a stall and a probe's queue are no cliff.
func TestCliffInOneFrame(t *testing.T) {
	const base = 20 * time.Millisecond
	run := func(gap func(i int) time.Duration) (got Rate) {
		var k cliff
		at := base
		for i := range 12 {
			sent := time.Duration(i) * time.Millisecond
			at = max(at, sent+base) + gap(i)
			got = max(got, k.add(&Result{Sent: clock.Time(sent), At: at, Size: 1000}, base))
		}
		return got
	}
	if got := run(func(int) time.Duration { return 30 * time.Millisecond }); got < 250_000 || got > 280_000 {
		t.Errorf("one at a time each 30 ms: %d", got)
	}
	if got := run(func(i int) time.Duration { return time.Duration(i%2) * 8 * time.Millisecond }); got != 0 {
		t.Errorf("jitter: %d", got)
	}
	if got := run(func(i int) time.Duration {
		if i == 3 {
			return 200 * time.Millisecond
		}
		return time.Millisecond
	}); got != 0 {
		t.Errorf("a stall: %d", got)
	}
	// The path falls while a frame stands in its queue: what is left of that takes as
	// long as all of it at the new rate.
	if got := run(func(i int) time.Duration {
		switch {
		case i < 5:
			return 3 * time.Millisecond
		case i == 5:
			return 150 * time.Millisecond
		}
		return 30 * time.Millisecond
	}); got < 250_000 || got > 280_000 {
		t.Errorf("in the middle of a queue: %d", got)
	}
	if got := run(func(i int) time.Duration { return time.Duration(30+50*(i%4/3)) * time.Millisecond }); got < 250_000 || got > 280_000 {
		t.Errorf("every fourth is late: %d", got)
	}
}

// TestPacerKeepsItsPaceWhenCalledLate: what a late timer cost may leave with the
// next burst, but not what a pause did.
func TestPacerKeepsItsPaceWhenCalledLate(t *testing.T) {
	var p Pacer
	p.SetRate(2_000_000)
	pace := int(paceFactor * 250_000)
	now, sent := sec, 0
	for end := now.Add(time.Second); now < end; {
		for room := p.Room(now); room > 0; room -= 1200 {
			p.Sent(now, 1200)
			sent += 1200
		}
		now = p.Next(now).Add(8 * time.Millisecond)
	}
	if sent < pace*9/10 {
		t.Errorf("%d bytes in a second, %d is the pace", sent, pace)
	}
}
