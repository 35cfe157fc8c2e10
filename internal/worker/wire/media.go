package wire

import (
	"parley/internal/base/clock"
	"parley/internal/transport/demux"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"
	"parley/internal/transport/sctp"
	"parley/internal/transport/srtp"
)

// handle takes one datagram; plain is memory for what it holds.
func (p *Peer) handle(now clock.Time, b, plain []byte) {
	kind, _ := demux.Classify(b)
	switch kind {
	case demux.STUN:
		p.handleSTUN(now, b)
	case demux.DTLS:
		p.mu.Lock()
		d := p.dtls
		p.mu.Unlock()
		if d != nil {
			d.HandleDatagram(b)
		}
	case demux.RTP, demux.RTCP:
		p.handleMedia(now, kind, b, plain)
	case demux.Drop:
	}
}

func (p *Peer) handleSTUN(now clock.Time, b []byte) {
	p.mu.Lock()
	reply, ev := p.agent.HandleSTUN(now, p.path, b, p.buf[:0])
	p.mu.Unlock()
	if reply != nil {
		_ = p.conn().write(reply)
	}
	if ev.Has(ice.Selected) {
		p.become(Handshaking, nil)
		p.startDTLS()
	}
}

// startDTLS begins the handshake once the first check was answered. It runs on
// the peer's goroutine, as does all reading, so no answer can overtake it.
func (p *Peer) startDTLS() {
	p.mu.Lock()
	idle := p.dtls == nil && p.state == Handshaking
	p.mu.Unlock()
	if !idle {
		return
	}
	c := p.cfg
	d := c.Handshakes.Start(dtls.Config{
		Identity: c.Identity, Client: c.DTLSClient, Fingerprints: c.Fingerprints,
		Send: func(b []byte) { _ = p.conn().write(b) }, Done: p.handshakeDone, KeepData: c.Data != nil, OnlyCM: c.OnlyCM,
	})
	p.mu.Lock()
	over := p.state >= Failed
	if !over {
		p.dtls = d
	}
	p.mu.Unlock()
	if over {
		d.Close()
	}
}

func (p *Peer) handshakeDone(k dtls.Keys, err error) {
	if err == nil {
		err = p.install(k)
	}
	if err != nil {
		p.become(Failed, err)
		return
	}
	if p.cfg.Data != nil {
		p.startData()
	}
	p.become(Connected, nil)
}

// startData runs on the handshake's goroutine; the association is only kept if
// the peer still lives.
func (p *Peer) startData() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state >= Failed || p.dtls == nil {
		return
	}
	conn := p.dtls.Data()
	if conn == nil {
		return
	}
	c := p.cfg.Data
	p.data = sctp.Start(sctp.Config{Conn: conn, OnOpen: c.OnOpen, OnMessage: c.OnMessage, OnClose: c.OnClose})
}

// Channels returns the data channels, nil before Connected or without Data.
func (p *Peer) Channels() *sctp.Association {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.data
}

func (p *Peer) install(k dtls.Keys) error {
	profile := srtp.Profile(k.Profile)
	send, err := srtp.NewSender(profile, k.LocalKey, k.LocalSalt)
	if err != nil {
		return err
	}
	recv, err := srtp.NewReceiver(profile, k.RemoteKey, k.RemoteSalt)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state < Failed {
		p.send, p.recv = send, recv
	}
	return nil
}

func (p *Peer) handleMedia(now clock.Time, kind demux.Kind, b, plain []byte) {
	if kind == demux.RTP && p.cfg.OnSealed != nil && !p.cfg.OnSealed(now, b) {
		return
	}
	p.mu.Lock()
	if p.recv == nil {
		p.mu.Unlock()
		return
	}
	var drop srtp.Drop
	if kind == demux.RTP {
		plain, drop = p.recv.OpenRTP(plain[:0], b)
	} else {
		plain, drop = p.recv.OpenRTCP(plain[:0], b)
	}
	f := p.cfg.OnRTP
	switch {
	case drop != srtp.DropNone:
		p.stats.Refused++
		f = nil
	case kind == demux.RTP:
		p.stats.RTPIn++
		p.stats.BytesIn += uint64(len(b))
	default:
		p.stats.RTCPIn++
		p.stats.BytesIn += uint64(len(b))
		f = p.cfg.OnRTCP
	}
	p.mu.Unlock()
	if f != nil {
		f(now, plain)
	}
}

// SendRTP seals and sends one packet: header and payload as they are.
func (p *Peer) SendRTP(header, payload []byte) error {
	return p.sealed(func(dst []byte) ([]byte, error) {
		p.stats.RTPOut++
		return p.send.SealRTP(dst, header, payload)
	})
}

// QueueRTP seals one packet for [Peer.Flush].
func (p *Peer) QueueRTP(header, payload []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.send == nil {
		return ErrNotConnected
	}
	if p.used == len(p.queue) {
		p.queue = append(p.queue, make([]byte, 0, largest))
	}
	out, err := p.send.SealRTP(p.queue[p.used][:0], header, payload)
	if err != nil {
		return err
	}
	p.queue[p.used] = out
	p.used++
	p.stats.RTPOut++
	p.stats.BytesOut += uint64(len(out))
	return nil
}

// Flush sends what was queued: a picture's packets back to back, each a datagram
// of its own.
func (p *Peer) Flush() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.queue[:p.used]
	p.used = 0
	c := p.conn()
	if m, ok := c.(interface{ writeAll([][]byte) error }); ok {
		return m.writeAll(out)
	}
	for _, b := range out {
		if e := c.write(b); e != nil {
			err = e
		}
	}
	return err
}

// SendRTCP seals and sends one compound packet.
func (p *Peer) SendRTCP(compound []byte) error {
	return p.sealed(func(dst []byte) ([]byte, error) {
		p.stats.RTCPOut++
		return p.send.SealRTCP(dst, compound)
	})
}

// sealed runs seal under the lock, which also keeps sequence on the wire.
func (p *Peer) sealed(seal func(dst []byte) ([]byte, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.send == nil {
		return ErrNotConnected
	}
	out, err := seal(p.buf[:0])
	if err != nil {
		return err
	}
	p.stats.BytesOut += uint64(len(out))
	return p.conn().write(out)
}

// SendRaw sends bytes as they are, for tests of what the server must refuse.
func (p *Peer) SendRaw(b []byte) error { return p.conn().write(b) }
