package compose

import (
	"runtime"
	"time"

	"parley/internal/mcu/codec/videocodec"
)

// stream is one encoder.
type stream struct {
	Stream
	canvas *canvas
	enc    videocodec.Encoder
	made   videocodec.Settings // of enc
	key    bool
	last   uint32 // timestamp of the last picture, with Follow
	any    bool
	out    Coded
	err    error
	spent  time.Duration
}

func (t *stream) set(want Stream) {
	if t.enc != nil && (t.Codec != want.Codec || t.Every != want.Every || t.MaxNAL != want.MaxNAL) {
		t.close()
	}
	if t.enc != nil && t.Rate != want.Rate {
		t.enc.SetRate(want.Rate)
	}
	t.Stream = want
}

func (t *stream) rate(bps int) {
	if t.Rate != bps && t.enc != nil {
		t.enc.SetRate(bps)
	}
	t.Rate = bps
}

func (t *stream) close() {
	if t.enc != nil {
		t.enc.Close()
		t.enc = nil
	}
}

// encode makes the picture of the canvas as it is now.
func (t *stream) encode(now func() time.Duration) {
	t.out.Data, t.err, t.spent = nil, nil, 0
	f := t.canvas.frame
	every := max(t.Every, 1)
	duration := uint32(90000 / TickRate * every)
	if t.Follow {
		if t.any && t.canvas.ts == t.last {
			return
		}
		if d := t.canvas.ts - t.last; t.any && d < 90000 {
			duration = d
		}
		t.last, t.any = t.canvas.ts, true
	}
	want := videocodec.Settings{Codec: t.Codec, Width: f.W, Height: f.H, Rate: t.Rate, FPS: max(1, TickRate/every), MaxNAL: t.MaxNAL}
	if t.enc != nil && (t.made.Width != f.W || t.made.Height != f.H) {
		t.close()
	}
	runtime.LockOSThread() // now may be this thread's own clock
	defer runtime.UnlockOSThread()
	began := now()
	if t.enc == nil {
		if t.enc, t.err = makeEncoder(want); t.err != nil {
			return
		}
		t.made, t.key = want, true
	}
	data, key, err := t.enc.Encode(f, duration, t.key)
	t.spent = now() - began
	if err != nil {
		t.err = err
		t.close()
		return
	}
	if key {
		t.key = false
	}
	t.out = Coded{Stream: t.ID, Key: key, W: f.W, H: f.H, TS: t.last, Data: data}
}
