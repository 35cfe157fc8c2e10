package videomix

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu"
	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/videochild"
	"parley/internal/media/payload"
	"parley/internal/media/rtp"
)

const (
	// linger is how long a source that nobody shows is still decoded: a speaker
	// who comes back at once should not need a keyframe.
	linger = 3 * time.Second
	// keyAgain is how often a keyframe is asked for that does not come.
	keyAgain = time.Second
	// keySoon is the least between two requests.
	keySoon = 500 * time.Millisecond
	// resizeBurst size changes are taken at once, then one a second: each costs
	// the decoder new memory (M2).
	resizeBurst = 3
)

// source is one track being decoded.
type source struct {
	track ids.Track
	film  uint32 // its number in the composer
	codec payload.Codec
	asm   *payload.Assembler
	dec   *videochild.Decoder
	w, h  int // of the last frame shown
	shown uint64

	up      bool // its process has come up at least once
	turn    uint8
	needKey bool
	asked   clock.Time
	// requests since a frame was shown
	requests int
	heard    clock.Time // last packet
	idle     clock.Time // since when nobody shows it, 0: shown

	claimed payload.Size // of the last keyframe taken
	resizes float64      // tokens
	refill  clock.Time
	refused uint64

	cpu, inCodec uint64 // ns of its process, as told last
}

// open begins to decode a source; with h.mu held.
func (h *half) open(now clock.Time, track ids.Track, codec payload.Codec) *source {
	if err := videocodec.CanDecode(codec); err != nil {
		if !h.told[track] {
			h.told[track] = true
			h.host.Report("video-codec-missing", track, err.Error())
		}
		return nil
	}
	if !h.cfg.take() {
		h.log.Warn("no video decoder: the node runs enough processes", "track", track)
		return nil
	}
	s := &source{
		track: track, codec: codec, film: h.id(), asm: payload.NewAssembler(codec), needKey: true,
		resizes: resizeBurst, refill: now,
	}
	d, err := videochild.NewDecoder(videochild.Settings{Nice: h.cfg.Nice}, h.cfg.MaxWidth*h.cfg.MaxHeight, videochild.DecoderEvents{
		Up:     func() { h.decoderUp(s) },
		Result: func(r videochild.Result) { h.decoded(s, r) },
		Died: func(err error) {
			h.log.Warn("video decoder died", "track", track, "err", err)
			h.host.Report("video-decoder-died", track, err.Error())
		},
	})
	if err != nil {
		h.cfg.running.Add(-1)
		h.log.Error("no video decoder", "err", err)
		return nil
	}
	s.dec = d
	h.sources[track] = s
	if h.composer != nil {
		h.composer.Map(s.film, d.Film)
	}
	return s
}

// drop ends a source; with h.mu held. Its process is waited for elsewhere, since
// its callbacks want the lock.
func (h *half) drop(s *source) {
	if h.sources[s.track] == s {
		delete(h.sources, s.track)
	}
	if h.composer != nil {
		h.composer.Unmap(s.film)
	}
	h.wg.Go(func() {
		s.dec.Close()
		h.cfg.running.Add(-1)
	})
}

// packet takes one packet; what is not RTP or has no payload is nothing.
func (s *source) packet(now clock.Time, b []byte) {
	var p rtp.Header
	if rtp.Parse(b, &p) != rtp.OK {
		return
	}
	s.heard = now
	if o, ok := p.Ext(b, mcu.ExtOrientation); ok && len(o) == 1 {
		s.turn = o[0] & 3 // quarters clockwise (3GPP TS 26.114, section 7.4.5)
	}
	s.asm.Push(now, p.Seq, p.TS, p.Marker, b[p.PayloadOff:p.PayloadEnd])
}

// feed gives complete pictures to the decoder.
func (h *half) feed(now clock.Time, s *source) {
	for s.up { // until then packets wait, so that the first keyframe is not lost
		u, ok := s.asm.Pop(now)
		if !ok {
			break
		}
		if !s.take(now, h.cfg, &u) {
			s.refused++
			if s.refused == 1 {
				h.host.Report("video-refused", s.track, "its pictures are larger than allowed, change size too often, or make no sense")
			}
			s.asm.Reset()
			continue
		}
		if _, ok := s.dec.Submit(s.codec, s.turn, u.TS, u.Data); !ok {
			s.asm.Reset() // no process now, or it is behind
			continue
		}
		if u.Key {
			s.needKey = false
		}
	}
	if s.asm.Wants() {
		s.needKey = true
	}
	s.ask(now, h.host)
}

// take looks at what a picture claims about itself before a decoder sees it.
func (s *source) take(now clock.Time, c Config, u *payload.Unit) bool {
	size, ok := payload.Claimed(s.codec, u.Data)
	if !ok || size.Odd {
		return false
	}
	if size.Width == 0 {
		return true
	}
	long, short := max(size.Width, size.Height), min(size.Width, size.Height)
	if long > max(c.MaxWidth, c.MaxHeight) || short > min(c.MaxWidth, c.MaxHeight) {
		return false
	}
	if size == s.claimed {
		return true
	}
	s.resizes = min(resizeBurst, s.resizes+now.Sub(s.refill).Seconds())
	s.refill = now
	if s.resizes < 1 {
		return false
	}
	s.resizes--
	s.claimed = size
	return true
}

// ask asks for a keyframe when one is needed and packets come.
func (s *source) ask(now clock.Time, host mcu.Host) {
	if !s.needKey || s.heard != 0 && now.Sub(s.heard) > 2*time.Second {
		return
	}
	again := keyAgain
	switch {
	case s.requests > 20: // it may be something no decoder here takes
		again = 5 * keyAgain
	case s.shown == 0:
		again = keySoon
	}
	if s.asked != 0 && now.Sub(s.asked) < again {
		return
	}
	s.asked = now
	s.requests++
	host.NeedKeyframe(s.track)
}

// decoderUp: a new process knows nothing of the stream.
func (h *half) decoderUp(s *source) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.up { // a process before it died: ask at once
		s.asm.Reset()
		s.needKey, s.asked = true, 0
		s.ask(h.now(), h.host)
	}
	s.up = true
}

// decoded takes the result of one picture; called by Poll, with h.mu held.
func (h *half) decoded(s *source, r videochild.Result) {
	if h.sources[s.track] != s {
		return
	}
	s.cpu, s.inCodec = max(s.cpu, r.CPU), max(s.inCodec, r.Codec)
	switch r.State {
	case videochild.Failed:
		s.asm.Reset()
		s.needKey = true
	case videochild.Shown:
		s.requests = 0
		first := s.shown == 0
		s.shown++
		if first || s.w != r.W || s.h != r.H {
			s.w, s.h = r.W, r.H
			h.arrange(h.now()) // contributors, and the size of what is transcoded
		}
		for _, st := range h.streams {
			if st.key.only == s.track && h.composer != nil {
				h.composer.Frame(st.id)
			}
		}
	}
}
