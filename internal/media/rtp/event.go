package rtp

import (
	"encoding/binary"
	"time"
)

// Event is the payload of a telephone-event packet (RFC 4733, section 2.3).
type Event struct {
	Code     uint8
	End      bool
	Volume   uint8  // -dBm0, 0..63
	Duration uint16 // of the segment so far, in ticks of the RTP clock
}

// ParseEvent reads a payload; redundancy after the first block (RFC 4733,
// section 2.5.1.4 has none for DTMF) is ignored.
func ParseEvent(b []byte) (Event, bool) {
	if len(b) < 4 {
		return Event{}, false
	}
	return Event{Code: b[0], End: b[1]&0x80 != 0, Volume: b[1] & 0x3f, Duration: binary.BigEndian.Uint16(b[2:])}, true
}

// Append writes the payload.
func (e Event) Append(b []byte) []byte {
	v := e.Volume & 0x3f
	if e.End {
		v |= 0x80
	}
	return binary.BigEndian.AppendUint16(append(b, e.Code, v), e.Duration)
}

// keys are the events of RFC 4733, section 3.2, by code.
const keys = "0123456789*#ABCD!"

// Key returns the key of a code: 0-9 * # A-D, and ! for a hook flash.
func Key(code uint8) (byte, bool) {
	if int(code) >= len(keys) {
		return 0, false
	}
	return keys[code], true
}

// KeyCode returns the code of a key; letters in any case.
func KeyCode(key byte) (uint8, bool) {
	if key >= 'a' && key <= 'd' {
		key -= 'a' - 'A'
	}
	for i := range len(keys) {
		if keys[i] == key {
			return uint8(i), true
		}
	}
	return 0, false
}

// Press is one key that was pressed.
type Press struct {
	Key      byte
	Duration time.Duration
}

// Keypad makes presses out of telephone-event packets: one a key, although its
// packets are many and the last comes three times (RFC 4733, section 2.5.1.4).
// The zero value is ready.
type Keypad struct {
	open, any bool
	ssrc, ts  uint32 // of the event, which its timestamp names
	code      uint8
	earlier   uint32 // ticks of the segments before this one
	ticks     uint32
	clock     uint32
}

// maxPress bounds what is told of one key: a longer one is a stuck key or a lie.
const maxPress = time.Minute

// Packet takes one packet of an event. The press is told when the event ended,
// or when another began because all ends of the one before were lost.
func (k *Keypad) Packet(h *Header, payload []byte, clock uint32) (Press, bool) {
	e, ok := ParseEvent(payload)
	if _, known := Key(e.Code); !ok || !known || clock == 0 {
		return Press{}, false
	}
	same := k.any && h.SSRC == k.ssrc
	switch {
	case same && h.TS == k.ts:
		if !k.open {
			return Press{}, false // a repeat of the end
		}
	case same && k.open && e.Code == k.code && h.TS == k.ts+0xffff:
		k.earlier += 0xffff // a long event goes on in another segment (section 2.5.1.3)
		k.ts, k.ticks = h.TS, 0
	case same && int32(h.TS-k.ts) < 0:
		return Press{}, false // late
	default:
		was, had := k.Flush()
		k.begin(h, e, clock)
		if had {
			if e.End { // both at once: the short one is told by the next repeat or Flush
				k.ticks = uint32(e.Duration)
			}
			return was, true
		}
	}
	k.ticks = max(k.ticks, uint32(e.Duration))
	if e.End {
		return k.Flush()
	}
	return Press{}, false
}

func (k *Keypad) begin(h *Header, e Event, clock uint32) {
	*k = Keypad{open: true, any: true, ssrc: h.SSRC, ts: h.TS, code: e.Code, clock: clock, ticks: uint32(e.Duration)}
}

// Flush ends an event whose packets ceased to come.
func (k *Keypad) Flush() (Press, bool) {
	if !k.open {
		return Press{}, false
	}
	k.open = false
	key, _ := Key(k.code)
	d := time.Duration(k.earlier+k.ticks) * time.Second / time.Duration(k.clock)
	return Press{Key: key, Duration: min(d, maxPress)}, true
}

// Open reports whether an event has begun and not ended.
func (k *Keypad) Open() bool { return k.open }
