package relay

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"parley/internal/simnet"
)

func TestOrdersChangeOneDirection(t *testing.T) {
	r := relay(t, Config{Up: simnet.Config{Overhead: 28}})
	for _, line := range []string{"both delay=40ms", "down rate=300k queue-time=300ms burst=0.01/0.5", "up loss=0.1"} {
		if got, err := r.Do(line); got != "ok" || err != nil {
			t.Fatal(line, got, err)
		}
	}
	up, down := r.Settings()
	if up != (simnet.Config{Overhead: 28, Delay: 40 * time.Millisecond, Loss: 0.1}) {
		t.Errorf("up %+v", up)
	}
	if down.Rate != 300_000 || down.Delay != 40*time.Millisecond || down.QueueTime != 300*time.Millisecond || down.Loss != 0 ||
		down.Burst == nil || *down.Burst != (simnet.GilbertElliott{ToBad: 0.01, ToGood: 0.5, LossBad: 1}) {
		t.Errorf("down %+v", down)
	}
	if _, err := r.Do("drop on"); err != nil {
		t.Fatal(err)
	}
	if up, down = r.Settings(); !up.Down || !down.Down || down.Rate != 300_000 {
		t.Errorf("drop: %+v, %+v", up, down)
	}
	for _, bad := range []string{"", "stop", "up rate=-1", "up loss=2", "down delay=x", "both speed=1", "schedule sideways 0s:1", "schedule up 2s:1,1s:2", "drop maybe", "target nowhere", "up loss=NaN"} {
		if got, err := r.Do(bad); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

// TestScheduleTakesEffectInTime: a packet sent before the step passes, one
// after it does not.
func TestScheduleTakesEffectInTime(t *testing.T) {
	server, a := socket(t), socket(t)
	r := relay(t, Config{Target: addr(server)})
	lossy := simnet.Config{Down: true}
	write(t, a, "before", r.Addr())
	read(t, server)
	began := time.Now()
	r.Schedule(Change{After: 50 * time.Millisecond, Up: &lossy})
	for r.Stats().Up.Lost == 0 {
		if time.Since(began) > patience {
			t.Fatal("the step did not come")
		}
		write(t, a, "x", r.Addr())
		<-time.After(time.Millisecond) // a sender's pace
	}
	if d := time.Since(began); d < 50*time.Millisecond {
		t.Fatal("the step came after", d)
	}
	if _, err := r.Do("schedule both 0s:3M,20s:300k"); err != nil {
		t.Fatal(err)
	}
}

// TestTargetMayComeLate: what came before is lost, the flow goes on after.
func TestTargetMayComeLate(t *testing.T) {
	server, a := socket(t), socket(t)
	r := relay(t, Config{})
	write(t, a, "nowhere", r.Addr())
	if _, err := r.Do("target " + addr(server).String()); err != nil {
		t.Fatal(err)
	}
	write(t, a, "somewhere", r.Addr())
	if got, _ := read(t, server); !strings.Contains(got, "where") {
		t.Fatal(got)
	}
	other := socket(t)
	if _, err := r.Do("target " + addr(other).String()); err != nil {
		t.Fatal(err)
	}
	write(t, a, "elsewhere", r.Addr())
	if got, _ := read(t, other); got != "elsewhere" {
		t.Fatal(got)
	}
	got, err := r.Do("stats")
	var s Stats
	if err != nil || json.Unmarshal([]byte(got), &s) != nil || s.Flows != 1 || s.Up.Sent < 2 {
		t.Fatal(got, err)
	}
}

func FuzzDo(f *testing.F) {
	for _, s := range []string{"up rate=2.5M", "both delay=40ms loss=0.05 burst=0.1/0.2", "schedule down 0s:3M,20s:300k", "stats"} {
		f.Add(s)
	}
	r, err := Start(Config{Listen: loopback})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = r.Close() })
	f.Fuzz(func(_ *testing.T, s string) { _, _ = r.Do(s) })
}
