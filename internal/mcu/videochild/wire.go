package videochild

import (
	"encoding/binary"
	"errors"
	"io"

	"parley/internal/media/payload"
)

// A message is a length (kind included, 4 bytes), a kind, and that many bytes.
// The server trusts nothing a worker writes: lengths are capped before memory is
// made, and numbers are checked where they are used.
const (
	kindUnit    = 'U' // to a decoder: a coded picture
	kindResult  = 'F' // from a decoder: what became of it
	kindMap     = 'M' // to a composer: a source's film, with its descriptor
	kindUnmap   = 'N'
	kindScene   = 'S' // JSON of compose.Scene
	kindKey     = 'K'
	kindRate    = 'R'
	kindNew     = 'W' // a following stream's source has a new frame
	kindCoded   = 'E' // from a composer: a coded picture
	kindLoad    = 'L' // from a composer, once a second
	kindFailed  = 'X' // from a composer: an encoder cannot be made
	maxToWorker = payload.MaxUnit + 4096
	maxScene    = 1 << 20
	maxCoded    = payload.MaxUnit + 64
	maxResult   = 64
	headLen     = 5
	unitHead    = 10 // number, timestamp, codec, turn
	resultLen   = 30
	codedHead   = 22
	loadLen     = 40
)

var errLength = errors.New("videochild: message of impossible length")

// head writes the head of a message with n bytes after the kind.
func head(b []byte, kind byte, n int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(n+1))
	return append(b, kind)
}

// reader reads messages into memory of its own.
type reader struct {
	r   io.Reader
	max int
	buf []byte
	h   [headLen]byte
}

// next returns a message until the next call.
func (r *reader) next() (kind byte, body []byte, err error) {
	if _, err = io.ReadFull(r.r, r.h[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(r.h[:])
	if n < 1 || n-1 > uint32(r.max) {
		return 0, nil, errLength
	}
	n--
	if cap(r.buf) < int(n) {
		r.buf = make([]byte, n, n+n/2)
	}
	r.buf = r.buf[:n]
	_, err = io.ReadFull(r.r, r.buf)
	return r.h[4], r.buf, err
}

// Result is what a decoder made of one unit.
type Result struct {
	Number uint32 // of the unit, counted from 1 by Submit
	TS     uint32
	State  State
	W, H   int
	Codec  uint64 // ns of CPU inside the library, so far
	CPU    uint64 // ns of CPU of the process, so far (in steps)
}

// State of a decoded unit.
type State uint8

// States.
const (
	Shown  State = iota // a new frame is on the film
	Hidden              // decoded, nothing to show
	Failed              // the decoder refused it: a keyframe is needed
)

func (r *Result) append(b []byte) []byte {
	b = head(b, kindResult, resultLen)
	b = binary.BigEndian.AppendUint32(b, r.Number)
	b = binary.BigEndian.AppendUint32(b, r.TS)
	b = append(b, byte(r.State), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(r.W))
	b = binary.BigEndian.AppendUint16(b, uint16(r.H))
	b = binary.BigEndian.AppendUint64(b, r.Codec)
	b = binary.BigEndian.AppendUint64(b, r.CPU)
	return b
}

func (r *Result) parse(b []byte) bool {
	if len(b) != resultLen {
		return false
	}
	*r = Result{
		Number: binary.BigEndian.Uint32(b), TS: binary.BigEndian.Uint32(b[4:]), State: State(b[8]),
		W: int(binary.BigEndian.Uint16(b[10:])), H: int(binary.BigEndian.Uint16(b[12:])),
		Codec: binary.BigEndian.Uint64(b[14:]), CPU: binary.BigEndian.Uint64(b[22:]),
	}
	return r.State <= Failed
}

// Coded is a coded picture from a composer.
type Coded struct {
	Stream uint32
	Key    bool
	W, H   int
	TS     uint32 // of the source for following streams
	Due    int64  // the tick's instant on CLOCK_MONOTONIC, ns
	Data   []byte // valid until the callback returns
}

func (c *Coded) appendHead(b []byte) []byte {
	b = head(b, kindCoded, codedHead-1+len(c.Data))
	b = binary.BigEndian.AppendUint32(b, c.Stream)
	k := byte(0)
	if c.Key {
		k = 1
	}
	b = append(b, k)
	b = binary.BigEndian.AppendUint16(b, uint16(c.W))
	b = binary.BigEndian.AppendUint16(b, uint16(c.H))
	b = binary.BigEndian.AppendUint32(b, c.TS)
	return binary.BigEndian.AppendUint64(b, uint64(c.Due))
}

func (c *Coded) parse(b []byte) bool {
	if len(b) < codedHead-1 {
		return false
	}
	*c = Coded{
		Stream: binary.BigEndian.Uint32(b), Key: b[4] == 1,
		W: int(binary.BigEndian.Uint16(b[5:])), H: int(binary.BigEndian.Uint16(b[7:])),
		TS: binary.BigEndian.Uint32(b[9:]), Due: int64(binary.BigEndian.Uint64(b[13:])), Data: b[21:],
	}
	return len(c.Data) > 0
}

// Load is a composer's second.
type Load struct {
	Busy, Codec, CPU uint64 // ns: in ticks (wall), in encoders (CPU), of the process since its start (CPU)
	Ticks, Late      uint32 // made, and left out because the one before was not done
	Encoded          uint64
}

func (l *Load) append(b []byte) []byte {
	b = head(b, kindLoad, loadLen)
	for _, v := range []uint64{l.Busy, l.Codec, l.CPU} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, l.Ticks)
	b = binary.BigEndian.AppendUint32(b, l.Late)
	return binary.BigEndian.AppendUint64(b, l.Encoded)
}

func (l *Load) parse(b []byte) bool {
	if len(b) != loadLen {
		return false
	}
	u := binary.BigEndian.Uint64
	*l = Load{Busy: u(b), Codec: u(b[8:]), CPU: u(b[16:]), Ticks: binary.BigEndian.Uint32(b[24:]), Late: binary.BigEndian.Uint32(b[28:]), Encoded: u(b[32:])}
	return true
}
