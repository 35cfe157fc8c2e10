package process

import (
	"os"
	"testing"
	"time"

	"parley/internal/load"
	"parley/internal/simnet"
	"parley/test/harness"
	"parley/test/testpeer"
)

// TestQ12_OneBadOfEleven: one publisher and ten who receive, one of them behind
// 200 kbit/s that lose a tenth. The nine others lose nothing more, see the same
// layer, and their packets are at most 2 ms later than without the bad one.
func TestQ12_OneBadOfEleven(t *testing.T) {
	harness.Quiet(t)
	span := "4s"
	if os.Getenv("SOAK") != "" {
		span = "30s"
	}
	s := harness.Start(t, harness.Options{})
	measure := func(room string) (load.Report, time.Duration) {
		stop := lateness()
		r := runLoad(t, s, "--room", room, "--publishers", "1", "--subscribers", "9", "--simulcast", "--feedback", "--warmup", "3s", "--duration", span)
		_, late := stop()
		t.Logf("Q12 %s: nine receive %.2f Mbit/s, %d packets, %d lost, delay p50 %.2f, p99 %.2f ms; the machine was late by p99 %.2f ms",
			room, r.PayloadMbitSec, r.PacketsIn, r.Lost, r.LatencyP50, r.LatencyP99, ms(late))
		if r.JoinsFailed > 0 || r.PacketsIn == 0 {
			t.Fatalf("%d joins failed: %q", r.JoinsFailed, r.Errors)
		}
		return r, late
	}
	for try := 1; ; try++ {
		without, _ := measure("without")
		bad := relayed(t, s, simnet.Config{Delay: 30 * time.Millisecond}, simnet.Config{
			Delay: 30 * time.Millisecond, Rate: 200_000, QueueTime: 300 * time.Millisecond, Loss: 0.1, Overhead: 28,
		})
		// A publisher of its own keeps the room until the others are there.
		publish(t, s, "with", testpeer.Options{Script: testpeer.Script{AudioBytes: 80}})
		p, err := testpeer.Play(within(t, patience), testpeer.Options{
			URL: s.URL + "/whep/with", Audio: 2, Video: 2, EditOffer: testpeer.NoCandidates, EditAnswer: testpeer.Via(bad.Addr()),
		})
		if err != nil {
			t.Fatal(err)
		}
		with, late := measure("with")
		down := bad.Stats().Down
		t.Logf("Q12 the bad one: %d packets sent to it, %d lost, %d too many; sees %d streams", down.Sent, down.Lost, down.Overflowed, len(p.Tracks()))
		if err := p.Abandon(); err != nil {
			t.Error(err)
		}
		if down.Sent < 100 {
			t.Fatal("the bad one was sent next to nothing: nothing is shown")
		}
		// A machine that lets everybody wait lets packets wait.
		soon := with.LatencyP99 <= max(without.LatencyP99, ms(late))+2
		// The same layer: a lower one is a third of it.
		same := with.PayloadMbitSec > 0.9*without.PayloadMbitSec
		if soon && same && with.Lost <= without.Lost {
			return
		}
		if try == 3 {
			t.Errorf("the nine: %d lost of %d, p99 %.2f ms, %.2f Mbit/s; without the bad one %d, %.2f and %.2f (the machine was late by %v)",
				with.Lost, with.PacketsIn, with.LatencyP99, with.PayloadMbitSec, without.Lost, without.LatencyP99, without.PayloadMbitSec, late)
			return
		}
	}
}
