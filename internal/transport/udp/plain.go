package udp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// plainSize is the receive buffer: more than any datagram the server accepts,
// so that a larger one is seen as too large by the demultiplexer.
const plainSize = 2048

// plain is the portable device: net.UDPConn, one datagram per call.
type plain struct {
	conn     *net.UDPConn
	cnt      *counters
	v4       bool
	patience time.Duration
	gaveUp   bool // this Send waited long, in vain
	facts    Info
}

func network(addr netip.AddrPort) string {
	switch ip := addr.Addr(); {
	case !ip.IsValid() || ip == netip.IPv6Unspecified():
		return "udp"
	case ip.Unmap().Is4():
		return "udp4"
	default:
		return "udp6"
	}
}

func newPlain(cnt *counters, addr netip.AddrPort, cfg Config) (device, error) {
	at := addr
	if !addr.Addr().IsValid() {
		at = netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
	}
	var lc net.ListenConfig
	c, err := lc.ListenPacket(context.Background(), network(addr), at.String())
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(errors.ErrUnsupported, c.Close())
	}
	_ = conn.SetReadBuffer(cfg.Buffer) // wishes
	_ = conn.SetWriteBuffer(cfg.Buffer)
	local := netip.MustParseAddrPort(conn.LocalAddr().String())
	p := &plain{conn: conn, cnt: cnt, v4: network(addr) == "udp4", patience: cfg.Patience}
	p.facts = Info{Local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port())}
	return p, nil
}

func (p *plain) newBatch() any { return make([]byte, plainSize) }

func (p *plain) hasAside() bool             { return false }
func (p *plain) newAsideBatch() any         { return nil }
func (p *plain) pollAside(*ReadBatch) error { return nil }

func (p *plain) wait(b *ReadBatch) error {
	n, from, err := p.conn.ReadFromUDPAddrPort(b.io.([]byte))
	if err != nil {
		var t net.Error
		if errors.As(err, &t) || errors.Is(err, net.ErrClosed) {
			return err
		}
		p.cnt.rxErrors.Add(1)
		return nil
	}
	p.cnt.rxMessages.Add(1)
	p.cnt.rxDatagrams.Add(1)
	p.cnt.rxBytes.Add(uint64(n))
	b.Items = append(b.Items, Datagram{From: unmapped(from), B: b.io.([]byte)[:n]})
	return nil
}

// poll waits a moment: net reads nothing once a deadline has passed.
func (p *plain) poll(b *ReadBatch) error {
	if err := p.conn.SetReadDeadline(time.Now().Add(200 * time.Microsecond)); err != nil {
		return err
	}
	return p.wait(b)
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (p *plain) send(msgs []Message) {
	p.deadline(p.patience)
	p.gaveUp = false
	for i := range msgs {
		m := &msgs[i]
		if p.v4 && !m.To.Addr().Unmap().Is4() {
			p.cnt.txErrors.Add(uint64(segments(len(m.B), m.SegSize)))
			continue
		}
		for b := m.B; ; {
			n := len(b)
			if m.SegSize > 0 && m.SegSize < n {
				n = m.SegSize
			}
			p.write(b[:n], m.To)
			if b = b[n:]; len(b) == 0 {
				break
			}
		}
	}
}

func (p *plain) write(b []byte, to netip.AddrPort) {
	_, err := p.conn.WriteToUDPAddrPort(b, to)
	if timedOut(err) && !p.gaveUp {
		// net does not even try once the deadline has passed, and on a busy
		// machine it passes while others run. Once more, with time in hand.
		p.deadline(longPatience)
		_, err = p.conn.WriteToUDPAddrPort(b, to)
		p.gaveUp = timedOut(err)
	}
	switch {
	case err == nil:
		p.cnt.txMessages.Add(1)
		p.cnt.txDatagrams.Add(1)
		p.cnt.txBytes.Add(uint64(len(b)))
	case timedOut(err):
		p.cnt.txBlocked.Add(1)
	default:
		p.cnt.txErrors.Add(1)
	}
}

// longPatience is what a write gets once its Send has run out of patience.
const longPatience = 100 * time.Millisecond

func (p *plain) deadline(d time.Duration) { _ = p.conn.SetWriteDeadline(time.Now().Add(d)) }

func timedOut(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func (p *plain) setReadDeadline(t time.Time) error { return p.conn.SetReadDeadline(t) }
func (p *plain) info() Info                        { return p.facts }
func (p *plain) kernelDrops() uint64               { return 0 }
func (p *plain) close() error                      { return p.conn.Close() }

// segments is how many datagrams n bytes make.
func segments(n, size int) int {
	if size <= 0 || n <= size {
		return 1
	}
	return (n + size - 1) / size
}
