//go:build linux

package videochild

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/internal/mcu/picture"
	"parley/internal/media/payload"
)

// mutate damages a coded picture as strangers would: bits, bytes, runs, lengths,
// pieces of another.
func mutate(r *rand.Rand, b, other []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + r.IntN(6) {
		if len(b) < 4 {
			break
		}
		at := r.IntN(len(b))
		if r.IntN(3) == 0 {
			at = r.IntN(min(len(b), 40)) // headers
		}
		switch r.IntN(6) {
		case 0, 1:
			b[at] ^= 1 << r.IntN(8)
		case 2:
			b[at] = byte(r.Uint32())
		case 3:
			for i := at; i < min(at+r.IntN(30), len(b)); i++ {
				b[i] = 0xff
			}
		case 4:
			b = b[:at+1]
		case 5:
			b = append(b[:at], other[r.IntN(len(other)):]...)
		}
	}
	return b
}

// M1: ten thousand damaged pictures of each codec. The server's process is not
// touched; whatever dies is back within a second and decodes again; another
// source's decoder goes on all the while.
func TestM1_DamagedPictures(t *testing.T) {
	const each = 10_000
	good := decoder(t)
	defer good.Close()
	wait(t, "good process", good.up)
	goodUnits := stream(t, payload.VP8, 320, 180, 30, picture.White)
	stop, gone := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var worst time.Duration
	go func() { // the other tile: 30 pictures a second, each answered
		defer close(gone)
		tick := time.NewTicker(time.Second / 30)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			k := i % len(goodUnits)
			began := time.Now()
			if _, ok := good.Submit(payload.VP8, 0, uint32(i), goodUnits[k]); !ok {
				continue
			}
			if r := <-good.results; r.State == Failed {
				t.Error("the other source's picture failed")
				return
			}
			mu.Lock()
			worst = max(worst, time.Since(began))
			mu.Unlock()
		}
	}()
	defer func() {
		close(stop)
		<-gone
		if len(good.died) > 0 {
			t.Error("the other source's process died")
		}
		t.Logf("the other source waited at most %v", worst)
	}()
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) { damaged(t, c, each) })
	}
	t.Run("AV1", func(t *testing.T) { damaged(t, payload.AV1, each) })
}

func damaged(t *testing.T, c payload.Codec, each int) {
	const seed = 20261122
	rng := rand.New(rand.NewPCG(seed, uint64(c)))
	units := stream(t, c, 160, 90, 40, picture.RGB(90, 160, 30))
	d := decoder(t)
	defer d.Close()
	wait(t, "process", d.up)
	open, deaths, shown := 0, 0, 0
	var slowest time.Duration
	back := func() {
		began := time.Now()
		deaths++
		wait(t, "new process", d.up)
		slowest = max(slowest, time.Since(began))
		open = 0
	}
	answer := func() {
		select {
		case r := <-d.results:
			if open--; r.State == Shown {
				shown++
			}
		case <-d.died:
			back()
		case <-time.After(long):
			t.Fatalf("seed %d: no answer", seed)
		}
	}
	for i := 0; i < each; {
		u := units[0] // whole keyframes between, so that there is state to hurt
		if i%4 != 0 {
			u = mutate(rng, units[(i+i/4)%len(units)], units[rng.IntN(len(units))])
		}
		if _, ok := d.Submit(c, 0, uint32(i)+2, u); ok {
			open++
			i++
		} else if open == 0 {
			select {
			case <-d.died:
				back()
			default: // between a death and its notice
				time.Sleep(time.Millisecond)
			}
		}
		if i == each/2 && deaths == 0 { // the library may be too good to die
			_ = syscall.Kill(d.PID(), syscall.SIGSEGV)
		}
		for open >= inFlight {
			answer()
		}
	}
	for open > 0 {
		answer()
	}
	for {
		select {
		case <-d.died:
			back()
			continue
		default:
		}
		break
	}
	if _, ok := d.Submit(c, 0, 1, units[0]); !ok {
		t.Fatalf("seed %d: not taken at the end", seed)
	}
	for r := wait(t, "result", d.results); ; r = wait(t, "result", d.results) {
		if r.TS == 1 && r.State != Shown {
			continue
		}
		if r.State == Shown {
			break
		}
	}
	if slowest > time.Second {
		t.Errorf("seed %d: a process took %v to come back", seed, slowest)
	}
	t.Logf("%d pictures, %d shown, %d deaths, back within %v", each, shown, deaths, slowest)
}

var codecs = map[string]payload.Codec{"VP8": payload.VP8, "VP9": payload.VP9, "H264": payload.H264}
