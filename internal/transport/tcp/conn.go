package tcp

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Class says what a datagram is worth when the peer's TCP is too slow.
type Class uint8

// Classes, from what is dropped first. Control is STUN, DTLS and RTCP.
const (
	Video Class = iota
	Audio
	Control
	classes
)

// queueBytes is how much may wait for each class: at 1 Mbit/s the video share
// is about half a second, beyond which a picture is late anyway. The room of a
// lower class may be used by a higher one, never the other way.
var queueBytes = [classes]int{64 << 10, 80 << 10, 96 << 10}

// Conn is one ICE-TCP connection. Safe for concurrent use.
type Conn struct {
	id     uint32
	from   netip.AddrPort
	nc     net.Conn
	stall  time.Duration
	writer sync.WaitGroup
	wake   chan struct{}
	gone   chan struct{}
	once   sync.Once

	mu      sync.Mutex // guards all below
	started bool
	closed  bool
	queue   []frame
	bytes   int
	dropped [classes]uint64
}

type frame struct {
	class Class
	b     []byte // with its length in front
}

// ID returns the number under which frames are delivered.
func (c *Conn) ID() uint32 { return c.id }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.from }

// Send copies a datagram to the queue and reports whether it was taken. When
// the queue is full, waiting video makes room for audio and both for control.
func (c *Conn) Send(class Class, b []byte) bool {
	if len(b) == 0 || len(b) > maxFrame || class >= classes {
		return false
	}
	c.mu.Lock()
	ok := !c.closed && c.room(class, len(b)+2)
	if ok {
		f := binary.BigEndian.AppendUint16(make([]byte, 0, len(b)+2), uint16(len(b)))
		c.queue = append(c.queue, frame{class, append(f, b...)})
		c.bytes += len(b) + 2
		if !c.started {
			c.started = true
			c.writer.Add(1)
			go c.write()
		}
	} else {
		c.dropped[class]++
	}
	c.mu.Unlock()
	if ok {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	return ok
}

// room makes place for n bytes by dropping lower classes, oldest first.
func (c *Conn) room(class Class, n int) bool {
	limit := queueBytes[class]
	for low := Video; low < class && c.bytes+n > limit; low++ {
		kept := c.queue[:0]
		for _, f := range c.queue {
			if f.class == low && c.bytes+n > limit {
				c.bytes -= len(f.b)
				c.dropped[low]++
				continue
			}
			kept = append(kept, f)
		}
		clear(c.queue[len(kept):])
		c.queue = kept
	}
	return c.bytes+n <= limit
}

// write drains the queue. What was handed to the kernel in one piece is taken
// out of the queue first, so that dropping never cuts a frame.
func (c *Conn) write() {
	defer c.writer.Done()
	var bufs net.Buffers
	for {
		bufs = c.take(bufs[:0])
		if len(bufs) == 0 {
			select {
			case <-c.wake:
				continue
			case <-c.gone:
				return
			}
		}
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.stall))
		out := bufs
		if _, err := out.WriteTo(c.nc); err != nil {
			c.Close()
			return
		}
	}
}

// burst is how many frames one write takes: few, so that audio queued behind a
// stalled write still overtakes nothing but a little video.
const burst = 8

func (c *Conn) take(bufs net.Buffers) net.Buffers {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(burst, len(c.queue))
	for _, f := range c.queue[:n] {
		bufs = append(bufs, f.b)
		c.bytes -= len(f.b)
	}
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	return bufs
}

// Dropped returns how many datagrams of a class found no room.
func (c *Conn) Dropped(class Class) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped[class]
}

// Close ends the connection; what is queued is lost.
func (c *Conn) Close() {
	c.once.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.queue, c.bytes = nil, 0
		c.mu.Unlock()
		close(c.gone)
		_ = c.nc.Close()
	})
}

// frameReader reads RFC 4571 frames with one buffer of fixed size.
type frameReader struct {
	src        io.Reader
	buf        [2 + maxFrame]byte
	start, end int
}

var errFrameTooLarge = errors.New("tcp: frame too large")

// next returns one frame, valid until the following call.
func (r *frameReader) next() ([]byte, error) {
	for {
		if have := r.end - r.start; have >= 2 {
			n := int(binary.BigEndian.Uint16(r.buf[r.start:]))
			if n > maxFrame {
				return nil, errFrameTooLarge
			}
			if have >= 2+n {
				b := r.buf[r.start+2 : r.start+2+n]
				r.start += 2 + n
				return b, nil
			}
		}
		if r.start > 0 {
			r.end = copy(r.buf[:], r.buf[r.start:r.end])
			r.start = 0
		}
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n == 0 && err != nil {
			return nil, err
		}
	}
}
