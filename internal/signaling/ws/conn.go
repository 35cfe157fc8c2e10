package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/signaling/session"
)

// conn is one WebSocket. It is the session's channel.
type conn struct {
	h     *Handler
	sock  *websocket.Conn
	meter *meter
	addr  netip.Addr

	s    *session.Session // set by the reader after hello
	errs int              // frames that could not be read

	mu     sync.Mutex // guards what follows
	queue  [][]byte
	queued int // bytes in queue and in the write under way
	closed bool
	code   websocket.StatusCode
	reason string
	wake   chan struct{} // cap 1
}

var _ session.Channel = (*conn)(nil)

// serve runs the connection to its end.
func (c *conn) serve(parent context.Context) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	c.wake = make(chan struct{}, 1)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write(ctx)
		cancel() // without a writer there is nothing to read for
	}()
	c.read(ctx)
	if c.s != nil {
		c.s.Lost(c)
	}
	c.Close(session.CloseNormal, "")
	<-written
	_ = c.sock.CloseNow() // already closed in most cases
}

// Send implements session.Channel.
func (c *conn) Send(frame []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.queued+len(frame) > maxQueue {
		// It does not read. What is queued would only be stale: cut, let it resume.
		c.queue, c.closed, c.code, c.reason = nil, true, websocket.StatusPolicyViolation, "not reading"
		c.signal()
		return false
	}
	c.queue = append(c.queue, frame)
	c.queued += len(frame)
	c.signal()
	return true
}

// Close implements session.Channel.
func (c *conn) Close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed, c.code, c.reason = true, websocket.StatusCode(code), reason
	c.signal()
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write empties the queue until the connection is closed, and closes it.
func (c *conn) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			_ = c.sock.CloseNow()
			return
		case <-c.wake:
		}
		for {
			frame, closed := c.next()
			if frame == nil {
				if closed {
					c.finish()
					return
				}
				break
			}
			if c.writeOne(ctx, frame) != nil {
				_ = c.sock.CloseNow()
				return
			}
		}
	}
}

// closeWait is for the peer's close frame. The library would wait 5 s to write
// and 5 s to read, too long for one that sends a byte now and then (scenario S2).
const closeWait = 2 * time.Second

func (c *conn) finish() {
	late := time.AfterFunc(closeWait, func() { _ = c.meter.Conn.Close() })
	defer late.Stop()
	_ = c.sock.Close(c.code, c.reason)
}

// next takes the first frame of the queue; closed may be true beside a frame.
func (c *conn) next() (frame []byte, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.queue = nil
		return nil, c.closed
	}
	frame = c.queue[0]
	c.queue[0] = nil
	c.queue = c.queue[1:]
	return frame, c.closed
}

func (c *conn) writeOne(ctx context.Context, frame []byte) error {
	wctx, cancel := context.WithTimeout(ctx, c.h.cfg.WriteWait)
	defer cancel()
	err := c.sock.Write(wctx, websocket.MessageText, frame)
	c.mu.Lock()
	c.queued -= len(frame)
	c.mu.Unlock()
	return err
}

// buffers are for reading messages; large ones are not kept.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keepBuffer = 32 << 10

// read takes frames until the connection ends.
func (c *conn) read(ctx context.Context) {
	late := time.AfterFunc(c.h.cfg.HelloWait, func() { c.Close(session.ClosePolicy, "hello expected") })
	defer late.Stop()
	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= keepBuffer {
			buffers.Put(buf)
		}
	}()
	for {
		if !c.message(ctx, buf) || c.isClosed() {
			return
		}
		if c.s == nil {
			if !c.hello(buf.Bytes()) {
				return
			}
			late.Stop()
		} else {
			c.frame(buf.Bytes())
		}
		if buf.Cap() > keepBuffer {
			buf = new(bytes.Buffer)
		}
	}
}

// message reads one text message of valid UTF-8 into buf.
func (c *conn) message(ctx context.Context, buf *bytes.Buffer) bool {
	buf.Reset()
	if c.s != nil {
		c.meter.refill(c.h.cfg.MaxFrame + headroom)
	}
	kind, r, err := c.sock.Reader(ctx)
	if err != nil {
		return false
	}
	if kind != websocket.MessageText {
		c.Close(int(websocket.StatusUnsupportedData), "text only")
		return false
	}
	if c.s == nil {
		r = io.LimitReader(r, maxHello+1)
	}
	if _, err := buf.ReadFrom(r); err != nil {
		return false // the library has said 1009 if it was the size
	}
	switch {
	case c.s == nil && buf.Len() > maxHello:
		c.Close(int(websocket.StatusMessageTooBig), "hello too large")
		return false
	case !utf8.Valid(buf.Bytes()):
		c.Close(int(websocket.StatusInvalidFramePayloadData), "not UTF-8")
		return false
	}
	return true
}

// hello opens or resumes the session.
func (c *conn) hello(b []byte) bool {
	h, e := decodeHello(b)
	if e == nil {
		s, err := c.h.cfg.Sessions.Open(h, "ws", c.addr, c)
		if err == nil {
			c.s = s
			c.h.addrs.seated(c.addr)
			return true
		}
		e = fault.From(err)
	}
	if e.Code == 505 {
		c.say(&api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: e.Reason})
	} else {
		c.say(&api.Response{Kind: "response", ID: "hello", Code: e.Code, Final: true, Error: session.Wire(e)})
	}
	c.Close(session.CloseCode(e), e.Reason)
	return false
}

func (c *conn) say(f any) {
	if b, err := json.Marshal(f); err == nil {
		c.Send(b)
	}
}

// frame handles one message of an open session.
func (c *conn) frame(b []byte) {
	id, e := c.dispatch(b)
	if e == nil {
		return
	}
	c.errs++
	c.s.Refuse(c, id, e)
	if c.errs >= maxErrors {
		c.Close(session.ClosePolicy, "too many errors")
	}
}
