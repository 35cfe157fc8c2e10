package dtls

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// pipeBytes and pipeCount bound datagrams waiting for pion (scenario D12).
const (
	pipeBytes = 48 << 10
	pipeCount = 128
)

// peerAddr is what pion sees as the peer; routing is the worker's business.
var peerAddr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:9"))

// pipe is the net.PacketConn pion reads and writes. One reader, any writers.
type pipe struct {
	send func([]byte)

	mu      sync.Mutex // guards all below
	queue   [][]byte
	bytes   int
	expired bool
	closed  bool
	muted   bool   // writes are kept, not sent
	kept    []byte // last datagram written while muted
	last    []byte // last datagram holding a ChangeCipherSpec
	tap     secretTap

	wake chan struct{}
}

func newPipe(send func([]byte), client bool) *pipe {
	return &pipe{send: send, tap: secretTap{client: client}, wake: make(chan struct{}, 1)}
}

// push queues a datagram, which the pipe then owns; false when full.
func (p *pipe) push(b []byte) bool {
	p.mu.Lock()
	ok := !p.closed && p.bytes+len(b) <= pipeBytes && len(p.queue) < pipeCount
	if ok {
		p.queue = append(p.queue, b)
		p.bytes += len(b)
	}
	p.mu.Unlock()
	p.signal()
	return ok
}

func (p *pipe) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// ReadFrom implements net.PacketConn.
func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p.mu.Lock()
		switch {
		case p.closed:
			p.mu.Unlock()
			return 0, nil, net.ErrClosed
		case p.expired:
			p.mu.Unlock()
			return 0, nil, os.ErrDeadlineExceeded
		case len(p.queue) > 0:
			d := p.queue[0]
			p.queue[0] = nil
			p.queue = p.queue[1:]
			p.bytes -= len(d)
			if p.tap.client {
				p.tap.serverHello(d)
			}
			p.mu.Unlock()
			return copy(b, d), peerAddr, nil
		}
		p.mu.Unlock()
		<-p.wake
	}
}

// WriteTo implements net.PacketConn. The datagram is copied: its receiver may keep it.
func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	d := append([]byte(nil), b...)
	p.mu.Lock()
	if holdsCCS(d) {
		p.last = d
	}
	if !p.tap.client {
		p.tap.serverHello(d)
	}
	muted := p.muted
	if muted {
		p.kept = d
	}
	p.mu.Unlock()
	if !muted {
		p.send(d)
	}
	return len(b), nil
}

func holdsCCS(b []byte) bool {
	for len(b) > 0 {
		r, rest, ok := nextRecord(b)
		if !ok {
			return false
		}
		if r.kind == contentCCS {
			return true
		}
		b = rest
	}
	return false
}

// Write implements io.Writer for pion's key log, under the lock of the tap.
func (p *pipe) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tap.Write(line)
}

// peerKey returns the key of the peer's alerts, nil when there is none.
func (p *pipe) peerKey() *alertKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tap.ready {
		return nil
	}
	k := p.tap.key
	return &k
}

// mute makes later writes silent; the last of them can be fetched by tail.
func (p *pipe) mute() {
	p.mu.Lock()
	p.muted = true
	p.mu.Unlock()
}

// tail returns the last flight and what was written after mute.
func (p *pipe) tail() (last, kept []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.kept
}

// Close implements net.PacketConn.
func (p *pipe) Close() error {
	p.mu.Lock()
	p.closed = true
	p.queue = nil
	p.mu.Unlock()
	p.signal()
	return nil
}

// LocalAddr implements net.PacketConn.
func (p *pipe) LocalAddr() net.Addr { return peerAddr }

// SetDeadline implements net.PacketConn.
func (p *pipe) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn. pion uses it only to interrupt:
// a time in the past, or none.
func (p *pipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	p.expired = !t.IsZero() && !t.After(time.Now())
	p.mu.Unlock()
	p.signal()
	return nil
}

// SetWriteDeadline implements net.PacketConn; writes never block.
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
