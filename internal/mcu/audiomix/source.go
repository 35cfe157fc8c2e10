package audiomix

import (
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

const (
	// gate is the level, -dBov, from which a source counts as heard: room noise of
	// a laptop lies below, a quiet talker above.
	gate = 58
	// hang is how many slots a talker stays after the last loud one (300 ms):
	// pauses between words must not cut, and a listener's CSRC list must shrink
	// within 500 ms (check MIX-2).
	hang = 15
	// decay of the loudness memory per slot, in dB.
	decay = 1
	// liar is after how many slots of measured silence an announced level is no
	// longer believed (500 ms).
	liar = 25
	// distrust is for how many slots (5 s).
	distrust = 250
	// untold is after how many packets without a level a source counts as one that
	// announces none, whatever was negotiated.
	untold = 25
)

// source is a track that may be heard.
type source struct {
	plane.MixSource
	jb      buffer
	dev     *device
	dec     codec.Decoder
	up      *upsampler
	noise   codec.Noise
	bad     uint64 // payloads that could not be decoded
	warm    bool   // the decoder has seen the packet before the next one
	fifo    []int16
	in      []int16 // the slot at the decoder\'s rate
	hiss    bool    // comfort noise plays, which is no speech
	told    bool    // its packets announce levels
	plain   int     // packets in a row that did not
	pad     int64   // ticks handed out without samples: not decoded
	pcm     [Frame]int16
	scratch []int16

	level  uint8 // of this slot, announced or measured
	meas   uint8 // measured, when decoded
	loud   int   // 127 - level with memory
	held   int   // slots since the last loud one
	dumb   int   // slots of loud claims over measured silence
	chosen bool
	was    bool       // chosen in the slot before: fades out
	looped clock.Time // its packets name ids of ours; zero: no
	last   *packet    // played in this slot, for the CSRCs of a mixed source
}

func newSource(m plane.MixSource, dev *device) *source {
	s := &source{MixSource: m, dev: dev, held: hang, level: Silent, meas: Silent}
	s.jb.clock = clockRate(m.Codec)
	s.told = m.Level
	dev.srcs = append(dev.srcs, s)
	return s
}

// clockRate is the RTP clock of a codec; that of G.722 is 8 kHz by an old error
// that cannot be mended (RFC 3551, section 4.5.2).
func clockRate(c plane.Codec) int64 {
	if c.ClockRate == 0 {
		return 8000
	}
	return int64(c.ClockRate)
}

func (s *source) close() {
	if s.dec != nil {
		s.dec.Close()
		s.dec = nil
	}
}

// open makes the decoder when it is first needed.
func (s *source) open(lib Codecs) bool {
	if s.dec != nil {
		return true
	}
	d, err := lib.Decoder(s.Codec)
	if err != nil {
		return false
	}
	s.dec = d
	s.scratch = make([]int16, d.Rate()/1000*codec.MaxMillis)
	if r := Rate / d.Rate(); r > 1 {
		s.up = &upsampler{ratio: r}
	}
	return true
}

// handle takes a packet into the jitter buffer.
func (s *source) handle(now clock.Time, b []byte, h *rtp.Header, lib Codecs, x Exts) {
	payload := b[h.PayloadOff:h.PayloadEnd]
	if len(payload) == 0 || len(payload) > codec.MaxPayload || !s.open(lib) {
		return
	}
	noise := h.PayloadType == x.Noise && x.Noise != 0
	ticks := s.jb.unit()
	if !noise {
		if h.PayloadType != s.Codec.PT {
			return // telephone events and the like are not audio
		}
		n := s.dec.Samples(payload)
		if ticks = int64(n) * s.jb.clock / int64(s.dec.Rate()); ticks == 0 {
			s.bad++
			return
		}
	}
	p := s.jb.put(now, h.Seq, h.TS, ticks)
	if p == nil {
		return
	}
	p.noise = noise
	p.payload = append(p.payload[:0], payload...)
	if v, ok := h.Ext(b, x.Level); ok && len(v) > 0 && x.Level != 0 {
		p.level, s.told, s.plain = v[0]&0x7f, true, 0
	} else if s.plain++; s.plain > untold {
		s.told = false
	}
	if s.Mixed {
		p.readCSRC(b, h, x)
	}
}

// readCSRC keeps a mixed packet's contributors and their levels (RFC 6465).
func (p *packet) readCSRC(b []byte, h *rtp.Header, x Exts) {
	p.nc = min(h.CSRCCount, maxCSRC)
	levels, _ := h.Ext(b, x.MixLevels)
	for i := range p.nc {
		p.csrc[i], p.levels[i] = h.CSRC(b, int(i)), noLevel
		if int(i) < len(levels) && x.MixLevels != 0 {
			p.levels[i] = levels[i] & 0x7f
		}
	}
}

// listen finds out how loud the source is in this slot, before it is decoded.
func (s *source) listen() {
	s.last = nil
	if !s.jb.started {
		s.note(Silent)
		return
	}
	s.jb.shrink(s.level >= gate || !s.chosen)
	p := s.jb.first()
	if p == nil || p.ts-s.jb.pos() >= s.jb.unit() {
		if s.jb.owed > s.jb.unit()*5 { // nothing for 100 ms
			s.level = Silent
		}
		s.note(s.level) // in the middle of a long packet, or late
		return
	}
	switch {
	case p.noise:
		s.level = Silent
	case p.level != noLevel:
		s.level = p.level
	case s.told:
		s.level = Silent
	}
	s.note(s.level)
}

// measure decodes a source that announces nothing, to find out how loud it is.
func (s *source) measure() {
	s.meas = Silent
	if s.jb.started || len(s.fifo) > 0 {
		s.render()
	}
	s.level = s.meas
	if s.hiss {
		s.level = Silent
	}
	s.note(s.level)
}

// note moves the loudness memory and the hang-over on.
func (s *source) note(level uint8) {
	if s.dumb > liar {
		level = Silent
		if s.dumb--; s.dumb == liar {
			s.dumb = 0
		}
	}
	s.loud = max(int(Silent-min(level, Silent)), s.loud-decay)
	if level < gate {
		s.held = 0
	} else {
		s.held = min(s.held+1, hang)
	}
}

// active tells whether it may be chosen.
func (s *source) active() bool { return s.held < hang && !s.Muted && s.looped == 0 }

// skip moves on by a slot without decoding.
func (s *source) skip() {
	if !s.jb.started {
		return
	}
	for s.jb.ahead < s.jb.unit() {
		if st, p, _ := s.jb.take(s.jb.unit() - s.jb.ahead); st == stepPacket {
			s.last = p
		}
	}
	s.jb.ahead -= s.jb.unit()
	s.fifo, s.warm = s.fifo[:0], false
	s.pad = s.jb.ahead
}

// render decodes one slot and measures it.
func (s *source) render() {
	need := s.dec.Rate() / 50
	if s.pad > 0 { // what skip had taken of a long packet
		s.fifo = appendZeros(s.fifo, int(s.pad)*s.dec.Rate()/int(s.jb.clock))
		s.pad = 0
	}
	if !s.warm {
		s.warmUp()
	}
	for s.jb.started && s.jb.ahead < s.jb.unit() {
		s.step()
	}
	if len(s.fifo) < need {
		s.fifo = appendZeros(s.fifo, need-len(s.fifo))
	}
	s.in = append(s.in[:0], s.fifo[:need]...)
	s.meas = levelOf(s.in)
	s.fifo = s.fifo[:copy(s.fifo, s.fifo[need:])]
	if s.jb.started {
		s.jb.ahead -= s.jb.unit()
	}
	switch {
	case s.meas < gate:
		s.dumb = 0
	case s.meas >= Silent-20 && s.level < gate && s.told:
		if s.dumb++; s.dumb == liar {
			s.dumb = liar + distrust
		}
	}
}

// warmUp decodes the packet before the first one heard, so that a codec with
// memory does not start from nothing.
func (s *source) warmUp() {
	s.warm = true
	if p := s.jb.before(); p != nil && !p.noise && s.jb.owed == 0 {
		_, _ = s.dec.Decode(p.payload, s.scratch)
	}
}

// step gets the next samples into the queue.
func (s *source) step() {
	st, p, ticks := s.jb.take(s.jb.unit() - s.jb.ahead)
	n := int(ticks) * s.dec.Rate() / int(s.jb.clock)
	switch {
	case st == stepPacket && p.noise:
		s.last = p
		s.noise.Set(p.payload)
		s.hiss = true
		s.fifo = appendZeros(s.fifo, n)
		s.noise.Fill(s.fifo[len(s.fifo)-n:])
	case st == stepPacket:
		s.last, s.hiss = p, false
		k, err := s.dec.Decode(p.payload, s.scratch)
		if err != nil {
			s.bad++
			s.dec.Conceal(nil, s.scratch[:n])
			k = n
		}
		s.fifo = append(s.fifo, s.scratch[:k]...)
	case st == stepLost && p != nil && !p.noise:
		s.dec.Conceal(p.payload, s.scratch[:n])
		s.fifo = append(s.fifo, s.scratch[:n]...)
	case st == stepPause || s.jb.owed > s.jb.clock/5: // 200 ms without anything: silence
		s.fifo = appendZeros(s.fifo, n)
	default:
		s.dec.Conceal(nil, s.scratch[:n])
		s.fifo = append(s.fifo, s.scratch[:n]...)
	}
}

func appendZeros(b []int16, n int) []int16 {
	for range n {
		b = append(b, 0)
	}
	return b
}

// lift brings the slot to 48 kHz.
func (s *source) lift() {
	switch {
	case len(s.in) == 0:
		clear(s.pcm[:])
	case s.up != nil:
		s.up.run(s.in, s.pcm[:])
	default:
		copy(s.pcm[:], s.in)
	}
}

// ramp fades the slot in or out, so that choosing and dropping do not click.
func (s *source) ramp() {
	switch {
	case s.chosen && !s.was:
		for i := range s.pcm {
			s.pcm[i] = int16(int32(s.pcm[i]) * int32(i) / Frame)
		}
	case !s.chosen && s.was:
		for i := range s.pcm {
			s.pcm[i] = int16(int32(s.pcm[i]) * int32(Frame-i) / Frame)
		}
	}
}

// device is whoever both speaks and listens, by ids.Device.
type device struct {
	id    ids.Device
	srcs  []*source
	outs  int
	heard bool // one of its sources is in this slot's mix
	own   int  // slots its listeners still keep an encoder of their own
}

// owns tells whether a source id is of the device's own.
func (d *device) owns(id uint32) bool {
	if d == nil {
		return false
	}
	for _, s := range d.srcs {
		if s.SrcID == id {
			return true
		}
	}
	return false
}
