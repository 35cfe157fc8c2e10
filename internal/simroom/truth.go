package simroom

import (
	"encoding/binary"

	"parley/internal/base/clock"
)

// truth is what every media payload carries at its end, for the judge only: the
// models of receivers decide by what a browser could see.
type truth struct {
	track, layer uint8
	part, parts  uint16
	number       uint32 // of the packet (audio) or picture (video), from 1
	at           clock.Time
}

const (
	truthLen   = 20
	truthMagic = 0xA7
)

func (t *truth) put(b []byte) {
	b = b[len(b)-truthLen:]
	b[0], b[1], b[2] = truthMagic, t.track, t.layer
	b[3] = 0
	binary.BigEndian.PutUint16(b[4:], t.part)
	binary.BigEndian.PutUint16(b[6:], t.parts)
	binary.BigEndian.PutUint32(b[8:], t.number)
	binary.BigEndian.PutUint64(b[12:], uint64(t.at))
}

func readTruth(b []byte) (t truth, ok bool) {
	if len(b) < truthLen || b[len(b)-truthLen] != truthMagic {
		return t, false
	}
	b = b[len(b)-truthLen:]
	return truth{track: b[1], layer: b[2], part: binary.BigEndian.Uint16(b[4:]), parts: binary.BigEndian.Uint16(b[6:]),
		number: binary.BigEndian.Uint32(b[8:]), at: clock.Time(binary.BigEndian.Uint64(b[12:]))}, true
}
