package ws

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// meter counts bytes from the wire between two messages. The library bounds a
// message's payload; it does not see a stream of empty fragments or of control
// frames, which costs the sender little and us a loop (scenario S1).
type meter struct {
	net.Conn
	left atomic.Int64
}

var errWire = errors.New("ws: more on the wire than a message may need")

// tooBig is a close frame with 1009 (RFC 6455, section 5.5.1), written past the
// library: its reader has failed by then and would close without a word.
var tooBig = []byte{0x88, 2, 1009 >> 8, 1009 & 0xff}

func (m *meter) refill(n int) { m.left.Store(int64(n)) }

func (m *meter) Read(p []byte) (int, error) {
	if m.left.Load() <= 0 {
		m.refuse(p)
		return 0, errWire
	}
	n, err := m.Conn.Read(p)
	m.left.Add(-int64(n))
	return n, err
}

// refuse says 1009 and reads on for a moment: closing on unread bytes would
// reset the connection, and the reset overtakes the close frame.
func (m *meter) refuse(scratch []byte) {
	_ = m.SetDeadline(time.Now().Add(linger))
	_, _ = m.Write(tooBig)
	for {
		if _, err := m.Conn.Read(scratch); err != nil {
			return
		}
	}
}

// linger bounds what a flooding client can make us read after its verdict.
const linger = time.Second

// meteredWriter puts a meter under the connection that is handed over.
type meteredWriter struct {
	http.ResponseWriter
	conn *meter
}

// Hijack implements http.Hijacker.
func (w *meteredWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.conn = &meter{Conn: c}
	w.conn.refill(maxHello + headroom)
	return w.conn, rw, nil
}
