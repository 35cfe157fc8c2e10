package plain

import (
	"encoding/binary"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

const (
	// toneStep is the spacing of an event's packets (RFC 4733, section 2.5.1.2
	// suggests the audio's own, 50 ms at most).
	toneStep = 20 * time.Millisecond
	// toneGap separates keys: equipment wants 40 ms of silence at least.
	toneGap = 60 * time.Millisecond
	// toneEnds is how often the last packet is sent (RFC 4733, section 2.5.1.4).
	toneEnds = 3
	// maxTones bounds the keys that wait on one session.
	maxTones = 64
	// toneVolume is the level told, -10 dBm0.
	toneVolume = 10
)

// Shortest and longest key that is sent.
const (
	MinTone = 40 * time.Millisecond
	MaxTone = 6 * time.Second // below 0xffff ticks at 8 kHz: one segment
)

// Tones puts telephone events (RFC 4733) into a stream on its way out: they
// share its SSRC, its sequence numbers and its clock. While a key is held the
// sound is left out. A stream that has not begun is begun by the first key.
// Pure; the zero value is ready once SSRC and clock are set.
type Tones struct {
	SSRC  uint32
	PT    uint8
	Clock uint32 // Hz; of the telephone-event format, which is the audio's

	queue []tone
	gapTo clock.Time // no key before

	seen, begun bool   // packets of the stream passed; anything was sent
	seqOff      uint16 // what packets of the stream are moved by
	tsOff       uint32
	lastSeq     uint16
	lastTS      uint32
	lastAt      clock.Time
	mark        bool // the next packet of the stream follows a key
	packets     uint32
	octets      uint32

	held bool
	at   clock.Time // next packet of the key
	now  struct {
		tone
		ts    uint32
		ticks uint32
		sent  int
		ends  int
	}
}

type tone struct {
	code  uint8
	ticks uint32
}

// Press queues a key; false when too many wait.
func (t *Tones) Press(code uint8, d time.Duration) bool {
	if len(t.queue) >= maxTones || t.Clock == 0 {
		return false
	}
	d = min(max(d, MinTone), MaxTone)
	t.queue = append(t.queue, tone{code, min(uint32(d*time.Duration(t.Clock)/time.Second), 0xffff)})
	return true
}

// Rewrite moves one packet of the stream to its place behind what was put in;
// false: it is left out, since a key is held.
func (t *Tones) Rewrite(now clock.Time, p []byte) bool {
	if len(p) < 12 || binary.BigEndian.Uint32(p[8:]) != t.SSRC {
		return true
	}
	seq, ts := binary.BigEndian.Uint16(p[2:]), binary.BigEndian.Uint32(p[4:])
	if !t.seen && t.begun { // a key began the stream
		t.seqOff = t.lastSeq + 1 - seq
		t.tsOff = t.lastTS + t.ticksSince(now) - ts
	}
	t.seen = true
	if t.held {
		t.seqOff--
		t.packets--
		t.octets -= uint32(len(p) - 12)
		return false
	}
	seq, ts = seq+t.seqOff, ts+t.tsOff
	binary.BigEndian.PutUint16(p[2:], seq)
	binary.BigEndian.PutUint32(p[4:], ts)
	if t.mark {
		p[1] |= 0x80
		t.mark = false
	}
	if !t.begun || int16(seq-t.lastSeq) > 0 {
		t.lastSeq, t.lastTS, t.lastAt = seq, ts, now
	}
	t.begun = true
	return true
}

// ticksSince is what the stream's clock went since its last packet, at least
// one: time must not stand still between packets.
func (t *Tones) ticksSince(now clock.Time) uint32 {
	return max(1, uint32(now.Sub(t.lastAt)*time.Duration(t.Clock)/time.Second))
}

// RewriteRTCP corrects our sender reports in place: clock and counts are those
// of what was sent.
func (t *Tones) RewriteRTCP(b []byte) {
	if t.tsOff == 0 && t.packets == 0 {
		return
	}
	for off := 0; off+28 <= len(b); {
		if b[off+1] == rtcp.TypeSR && binary.BigEndian.Uint32(b[off+4:]) == t.SSRC {
			add := func(at int, v uint32) {
				binary.BigEndian.PutUint32(b[off+at:], binary.BigEndian.Uint32(b[off+at:])+v)
			}
			add(16, t.tsOff)
			add(20, t.packets)
			add(24, t.octets)
		}
		off += 4 + 4*int(binary.BigEndian.Uint16(b[off+2:]))
	}
}

// Tick sends what is due through emit, which must not keep the packet, and
// returns the next instant, zero for none.
func (t *Tones) Tick(now clock.Time, random func() uint32, emit func([]byte)) clock.Time {
	for {
		if !t.held {
			if len(t.queue) == 0 {
				return 0
			}
			if now < t.gapTo {
				return t.gapTo
			}
			t.hold(now, random)
		}
		if now < t.at {
			return t.at
		}
		t.step(now, emit)
	}
}

// hold begins the next key.
func (t *Tones) hold(now clock.Time, random func() uint32) {
	if !t.begun {
		r := random()
		t.lastSeq, t.lastTS, t.lastAt, t.begun = uint16(r), random(), now, true
	}
	t.held, t.at = true, now
	t.now.tone, t.queue = t.queue[0], t.queue[1:]
	t.now.ts, t.now.ticks, t.now.sent, t.now.ends = t.lastTS+t.ticksSince(now), 0, 0, 0
	t.lastTS, t.lastAt = t.now.ts, now
}

// step sends one packet of the key that is held.
func (t *Tones) step(now clock.Time, emit func([]byte)) {
	k := &t.now
	k.ticks = min(k.ticks+uint32(toneStep*time.Duration(t.Clock)/time.Second), k.tone.ticks)
	end := k.ticks == k.tone.ticks
	var b [16]byte
	b[0], b[1] = 0x80, t.PT
	if k.sent == 0 {
		b[1] |= 0x80 // the beginning of an event (section 2.5.1.2)
	}
	t.lastSeq++
	t.seqOff++
	t.packets++
	t.octets += 4
	k.sent++
	binary.BigEndian.PutUint16(b[2:], t.lastSeq)
	binary.BigEndian.PutUint32(b[4:], k.ts)
	binary.BigEndian.PutUint32(b[8:], t.SSRC)
	emit(rtp.Event{Code: k.code, End: end, Volume: toneVolume, Duration: uint16(k.ticks)}.Append(b[:12]))
	t.at = t.at.Add(toneStep)
	if end {
		k.ends++
	}
	if k.ends == toneEnds {
		t.held, t.mark, t.gapTo = false, true, now.Add(toneGap)
	}
}
