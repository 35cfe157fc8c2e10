package simroom

import (
	"flag"
	"os"
	"testing"
	"time"

	"parley/internal/simnet"
)

var seedFlag = flag.Uint64("seed", 1, "seed of the simulated rooms")

// full tells that scenarios run as long as the specification says, by `make soak`.
func full() bool { return os.Getenv("SOAK") != "" }

// length is how long a scenario runs.
func length(short, long time.Duration) time.Duration {
	if full() {
		return long
	}
	return short
}

func newRoom(t *testing.T) *Room {
	t.Helper()
	t.Logf("seed %d", *seedFlag)
	return New(*seedFlag)
}

// wire is a path with nothing but delay.
func wire(delay time.Duration) simnet.Config { return simnet.Config{Delay: delay} }

const ms = time.Millisecond

// TestCleanRoom: nothing is lost on clean links, and the judges agree.
func TestCleanRoom(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(10*ms), wire(10*ms))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	b := r.Join("b", wire(20*ms), wire(20*ms))
	ear, eye := b.Watch(a, Wants{})
	r.Run(20 * time.Second)
	share, n := ear.Ear.Concealed(0, 0)
	t.Logf("audio: %d packets, %.4f concealed; video: %d pictures, %d freezes, switches %v, %d asked, %d PLIs", n, share,
		len(eye.Eye.Pictures), len(eye.Eye.Freezes), eye.Eye.Switches, b.Asked.NACKs, b.Asked.PLIs)
	if share != 0 || n < 950 {
		t.Error("audio was lost on a clean path")
	}
	if len(eye.Eye.Pictures) < 570 || len(eye.Eye.Freezes) > 0 || b.Asked.NACKs > 0 || eye.Eye.Skipped > 0 {
		t.Error("video was lost on a clean path")
	}
	if top := eye.Eye.Pictures[len(eye.Eye.Pictures)-1].Layer; top != 2 {
		t.Errorf("the picture ends in layer %d", top)
	}
}
