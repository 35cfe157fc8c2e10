package audiomix

import (
	"slices"
	"strings"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/seqnum"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

const (
	// patience is how long a missing packet is waited for before it counts as
	// lost: a retransmission on a good path.
	patience = 60 * time.Millisecond
	// maxHeld bounds what waits behind a missing packet.
	maxHeld = 32
	// history is how many packets sent can be mapped back for reports: 10 s at 20 ms.
	history = 512
)

// TranslatorConfig is what a Translator is made with.
type TranslatorConfig struct {
	Codecs   Codecs
	From, To plane.Codec
	SSRC     uint32
	Seq      uint16 // of the first packet sent
	TS       uint32 // its timestamp, if the clocks differ
	Frames   int    // of 20 ms in a packet sent, 0: 1; Opus: at most 2
}

// Translator gives one source another codec under the source's own SSRC (RFC
// 7667, section 3.2.1.3; rule MTR). It follows the source's packets, not a clock
// of its own: what the source loses stays a gap, what it pauses stays a pause.
// RTCP crosses with Forward and Back. Same threading as Mixer.
type Translator struct {
	cfg  TranslatorConfig
	dec  codec.Decoder
	enc  codec.Encoder
	up   *upsampler
	down *downsampler

	seqs    seqnum.Unwrapper
	started bool
	next    int64 // sequence number expected from the source
	held    []heldPacket
	fifo    []int16
	at      uint32 // source timestamp of fifo's first sample
	base    uint32 // source timestamp that TS belongs to
	marker  bool
	missed  bool // what comes next follows a loss

	out     int64 // extended sequence number of the next packet sent
	payload []byte
	frames  int
	first   uint32 // source timestamp of the packet being filled
	hidden  uint32 // source packets lost that no gap tells of
	sent    uint32
	octets  uint32
	took    int64 // source packets taken, for the ratio of reports
	sentMap [history]sentPacket

	pcm  []int16
	wide [Frame]int16
	low  [Frame]int16
	buf  [codec.MaxPayload]byte
}

type heldPacket struct {
	seq    int64
	ts     uint32
	marker bool
	came   clock.Time
	b      []byte
}

// sentPacket says up to which source packet a sent one goes.
type sentPacket struct{ out, in int64 }

// NewTranslator makes a translator.
func NewTranslator(c TranslatorConfig) (*Translator, error) {
	c.Frames = max(1, c.Frames)
	if strings.EqualFold(c.To.Name, "opus") {
		c.Frames = min(c.Frames, 2)
	}
	d, err := c.Codecs.Decoder(c.From)
	if err != nil {
		return nil, err
	}
	e, err := c.Codecs.Encoder(c.To, codec.Settings{})
	if err != nil {
		d.Close()
		return nil, err
	}
	t := &Translator{cfg: c, dec: d, enc: e, pcm: make([]int16, d.Rate()/1000*codec.MaxMillis), out: 1<<16 + int64(c.Seq)}
	if r := Rate / d.Rate(); r > 1 {
		t.up = &upsampler{ratio: r}
	}
	if r := Rate / e.Rate(); r > 1 {
		t.down = &downsampler{ratio: r}
	}
	return t, nil
}

// Close frees the codecs.
func (t *Translator) Close() {
	t.dec.Close()
	t.enc.Close()
}

// Encoder is the implementation that encodes.
func (t *Translator) Encoder() string { return t.enc.Name() }

// HandleRTP takes a packet of the source and calls emit for each packet made,
// which is borrowed.
func (t *Translator) HandleRTP(now clock.Time, b []byte, emit func([]byte)) {
	var h rtp.Header
	if len(b) > rtp.MaxSize || rtp.Parse(b, &h) != rtp.OK || h.PayloadType != t.cfg.From.PT || h.PayloadOff == h.PayloadEnd {
		return
	}
	seq := t.seqs.Unwrap(h.Seq)
	p := heldPacket{seq, h.TS, h.Marker, now, b[h.PayloadOff:h.PayloadEnd]}
	switch {
	case !t.started || seq-t.next > 1000 || t.next-seq > 1000:
		t.begin(p)
	case seq < t.next:
		return
	case seq > t.next:
		t.hold(p)
		t.Tick(now, emit)
		return
	}
	t.translate(p, emit)
	t.release(emit)
}

func (t *Translator) begin(p heldPacket) {
	if !t.started {
		t.base = p.ts
		if t.clockIn() == t.clockOut() {
			t.cfg.TS = p.ts
		}
	}
	t.started, t.next, t.at = true, p.seq, p.ts
	t.held, t.fifo = t.held[:0], t.fifo[:0]
}

func (t *Translator) clockIn() int64  { return clockRate(t.cfg.From) }
func (t *Translator) clockOut() int64 { return clockRate(t.cfg.To) }

// hold keeps a packet that came before its turn.
func (t *Translator) hold(p heldPacket) {
	i, there := slices.BinarySearchFunc(t.held, p.seq, func(x heldPacket, s int64) int { return int(x.seq - s) })
	if there {
		return
	}
	p.b = slices.Clone(p.b)
	t.held = slices.Insert(t.held, i, p)
}

// release translates what is in turn now.
func (t *Translator) release(emit func([]byte)) {
	for len(t.held) > 0 && t.held[0].seq <= t.next {
		p := t.held[0]
		t.held = t.held[1:]
		if p.seq == t.next {
			t.translate(p, emit)
		}
	}
}

// Tick gives up on packets that have been missing for long.
func (t *Translator) Tick(now clock.Time, emit func([]byte)) {
	for len(t.held) > 0 && (now.Sub(t.held[0].came) >= patience || len(t.held) > maxHeld) {
		t.miss(t.held[0], emit)
		t.next = t.held[0].seq
		t.release(emit)
	}
}

// miss deals with the packets lost before p: whole packets of ours are left out,
// so that the far end sees the loss and conceals it; a begun one is filled up.
func (t *Translator) miss(p heldPacket, emit func([]byte)) {
	lost := p.seq - t.next
	t.missed = true
	gap := int64(p.ts-t.end()) * int64(t.dec.Rate()) / t.clockIn() // samples
	if gap <= 0 || gap > int64(t.dec.Rate()) {
		t.hidden += uint32(lost)
		return
	}
	for frame := t.dec.Rate() / 50; gap > 0 && (t.frames > 0 || len(t.fifo) > 0); {
		need := int64(frame - len(t.fifo)%frame)
		if need > gap {
			break
		}
		t.dec.Conceal(p.b, t.pcm[:need])
		t.fifo = append(t.fifo, t.pcm[:need]...)
		gap -= need
		t.encode(emit)
	}
	per := int64(t.cfg.Frames * t.dec.Rate() / 50)
	skip := (gap + per/2) / per
	t.out += skip
	// What the gap in our numbers does not tell is reported beside it.
	if told := t.ratio(skip); lost > told {
		t.hidden += uint32(lost - told)
	}
}

// end is the source timestamp after the last sample taken.
func (t *Translator) end() uint32 {
	return t.at + uint32(int64(len(t.fifo))*t.clockIn()/int64(t.dec.Rate()))
}

// translate decodes one packet in turn and encodes what is whole.
func (t *Translator) translate(p heldPacket, emit func([]byte)) {
	t.next = p.seq + 1
	t.took++
	n, err := t.dec.Decode(p.b, t.pcm)
	if err != nil {
		if n = t.dec.Rate() / 50; t.dec.Samples(p.b) > 0 {
			n = t.dec.Samples(p.b)
		}
		t.dec.Conceal(nil, t.pcm[:n])
	}
	if p.ts != t.end() { // after a pause, which begins a talkspurt (RFC 3551, section 4.1), or a loss
		t.fifo, t.at = t.fifo[:0], p.ts
		if t.frames > 0 {
			t.send(emit)
		}
		t.marker = !t.missed
	}
	t.missed, t.marker = false, t.marker || p.marker
	t.fifo = append(t.fifo, t.pcm[:n]...)
	t.encode(emit)
}

// encode makes frames of 20 ms and sends full packets.
func (t *Translator) encode(emit func([]byte)) {
	n := t.dec.Rate() / 50
	for len(t.fifo) >= n {
		if t.frames == 0 {
			t.first, t.payload = t.at, t.payload[:0]
		}
		in := t.fifo[:n]
		if t.up != nil {
			t.up.run(in, t.wide[:])
			in = t.wide[:]
		}
		if t.down != nil {
			low := t.low[:Frame/t.down.ratio]
			t.down.run(in, low)
			in = low
		}
		k, err := t.enc.Encode(in, t.buf[:])
		t.fifo = t.fifo[:copy(t.fifo, t.fifo[n:])]
		t.at += uint32(t.clockIn() / 50)
		if err != nil {
			continue
		}
		t.append(t.buf[:k], emit)
		if t.frames == t.cfg.Frames {
			t.send(emit)
		}
	}
}

// append adds a frame to the packet being filled. Two frames of Opus make one
// packet if their configuration is the same (RFC 6716, section 3.2.4).
func (t *Translator) append(frame []byte, emit func([]byte)) {
	if t.frames == 1 && strings.EqualFold(t.cfg.To.Name, "opus") {
		a := t.payload
		if a[0]>>2 != frame[0]>>2 || a[0]&3 != 0 || frame[0]&3 != 0 || len(a) > 252 {
			ts := t.first + uint32(t.clockIn()/50)
			t.send(emit)
			t.first = ts
		} else {
			t.payload = append([]byte{a[0] | 2, byte(len(a) - 1)}, a[1:]...)
			frame = frame[1:]
		}
	}
	t.payload = append(t.payload, frame...)
	t.frames++
}

// send makes the packet.
func (t *Translator) send(emit func([]byte)) {
	t.frames = 0
	if len(t.payload) == 0 {
		return
	}
	b := make([]byte, 12, 12+len(t.payload))
	b[0], b[1] = 0x80, t.cfg.To.PT&0x7f
	if t.marker {
		b[1] |= 0x80
	}
	t.marker = false
	put16(b[2:], uint16(t.out))
	put32(b[4:], t.mapTS(t.first))
	put32(b[8:], t.cfg.SSRC)
	b = append(b, t.payload...)
	t.sent++
	t.octets += uint32(len(t.payload))
	t.sentMap[t.out%history] = sentPacket{t.out, t.next - 1}
	t.out++
	t.payload = t.payload[:0]
	emit(b)
}

// mapTS brings a source timestamp to our clock, about one base (MTR-4).
func (t *Translator) mapTS(ts uint32) uint32 {
	return t.cfg.TS + uint32(int64(int32(ts-t.base))*t.clockOut()/t.clockIn())
}

// ratio is how many source packets that many of ours stand for.
func (t *Translator) ratio(n int64) int64 {
	if t.sent == 0 {
		return n
	}
	return (n*t.took*2 + int64(t.sent)) / (2 * int64(t.sent))
}
