package link

import (
	"errors"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/transport/demux"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"
	"parley/internal/transport/srtp"
)

// HandleDatagram takes what came over a path, already classified. For media it
// opens the packet into buf and says RTP or RTCP; everything else it deals with
// itself. b is borrowed; nothing of a packet that fails authentication
// reaches buf's valid bytes.
func (l *Link) HandleDatagram(now clock.Time, kind demux.Kind, from ice.Path, b []byte, buf *ring.Buf) Result {
	if l.state.Over() {
		l.cfg.Shared.Dropped[DropOver]++
		return Nothing
	}
	switch kind {
	case demux.RTP, demux.RTCP:
		return l.handleMedia(now, kind, from, b, buf)
	case demux.STUN:
		l.handleSTUN(now, from, b)
	case demux.DTLS:
		l.handleDTLS(now, from, b)
	case demux.Drop:
	}
	return Nothing
}

// handleSTUN answers a check. The address is claimed only after the check
// authenticated, and given up again if it is another live link's: two sessions
// behind one address would read each other's media (scenario D8).
func (l *Link) handleSTUN(now clock.Time, from ice.Path, b []byte) {
	s := l.cfg.Shared
	reply, ev := l.agent.HandleSTUN(now, from, b, s.scratch[:0])
	s.STUN[ev.Drop]++
	if ev.Drop == ice.DropNone && !l.cfg.Host.Claim(now, l, from) {
		s.Dropped[DropHeld]++
		ev.Flags |= l.agent.Forget(from).Flags
		l.apply(now, ev)
		return
	}
	if reply != nil {
		l.cfg.Host.Transmit(from, reply)
	}
	if ev.Has(ice.Restarted) {
		l.forgetOld()
	}
	l.apply(now, ev)
	if ev.Drop == ice.DropNone && l.state == StateNew {
		l.becomeState(now, StateChecking, "")
		if l.cfg.DTLSClient {
			l.startDTLS()
		}
	}
}

// forgetOld ends the user fragment that the restart replaced.
func (l *Link) forgetOld() {
	if l.old != "" {
		l.cfg.Host.ForgetUfrag(l, l.old)
		l.old = ""
	}
}

// handleDTLS feeds the handshake, from validated paths only (reliability A1).
func (l *Link) handleDTLS(now clock.Time, from ice.Path, b []byte) {
	if from != l.path && !l.agent.Validated(from) {
		l.cfg.Shared.Dropped[DropUnvalidated]++
		return
	}
	if l.dtls == nil {
		l.startDTLS()
	}
	l.dtls.HandleDatagram(b)
}

// handleMedia opens one SRTP or SRTCP packet.
func (l *Link) handleMedia(now clock.Time, kind demux.Kind, from ice.Path, b []byte, buf *ring.Buf) Result {
	s := l.cfg.Shared
	if l.recv == nil {
		s.Dropped[DropNoKeys]++
		return Nothing
	}
	if from != l.path && !l.agent.Validated(from) {
		s.Dropped[DropUnvalidated]++
		return Nothing
	}
	res := RTP
	var plain []byte
	var drop srtp.Drop
	if kind == demux.RTP {
		plain, drop = l.recv.OpenRTP(buf.B[:0], b)
	} else {
		res = RTCP
		plain, drop = l.recv.OpenRTCP(buf.B[:0], b)
	}
	if drop != srtp.DropNone {
		s.SRTP[drop]++
		return Nothing
	}
	buf.N = len(plain)
	l.PacketsIn++
	l.BytesIn += uint64(len(b))
	l.noteTraffic(now, from)
	return res
}

// noteEvery is how often traffic on the selected path is told to the agent: it
// counts as consent, which is judged in tens of seconds.
const noteEvery = clock.Time(1e9)

func (l *Link) noteTraffic(now clock.Time, from ice.Path) {
	if from == l.path && now-l.noted < noteEvery {
		return
	}
	l.noted = now
	// Media that opens proves possession as well as a check: it keeps the address
	// for this link, so that a foreign check from there cannot take it (D8).
	if l.cfg.Host.Claim(now, l, from) {
		l.apply(now, l.agent.Traffic(now, from))
	}
}

// startDTLS makes the association. A server costs little until an acceptable
// ClientHello came; a client speaks at once.
func (l *Link) startDTLS() {
	c := l.cfg
	cfg := dtls.Config{
		Identity: c.Identity, Client: c.DTLSClient, Fingerprints: c.Fingerprints, KeepData: c.Data != nil,
		Send: func(b []byte) { c.Host.Post(func(now clock.Time) { l.sendDTLS(b) }) },
		Done: func(k dtls.Keys, err error) { c.Host.Post(func(now clock.Time) { l.handshakeDone(now, k, err) }) },
	}
	if c.Data != nil {
		cfg.FirstData = func() { c.Host.Post(func(clock.Time) { l.startData() }) }
	}
	l.dtls = c.Handshakes.Start(cfg)
}

// sendDTLS puts a record on the selected path. After the end only the goodbye
// still goes out, to where the peer was last.
func (l *Link) sendDTLS(b []byte) {
	to := l.path
	if l.state.Over() {
		to = l.last
	}
	if to.Addr.IsValid() {
		l.cfg.Host.Transmit(to, b)
	}
}

// handshakeDone installs the keys, or ends the link: a certificate other than
// the promised one never yields keys (reliability A2).
func (l *Link) handshakeDone(now clock.Time, k dtls.Keys, err error) {
	if l.state.Over() {
		return
	}
	if err == nil {
		err = l.install(k)
	}
	if err == nil {
		l.cfg.Shared.Handshakes++
		l.becomeState(now, StateConnected, "")
		return
	}
	l.cfg.Shared.HandshakesFailed++
	reason := ReasonHandshake
	switch {
	case errors.Is(err, dtls.ErrFingerprint):
		reason = ReasonFingerprint
	case errors.Is(err, dtls.ErrTimeout):
		reason = ReasonTimeout
	case errors.Is(err, dtls.ErrBusy):
		reason = ReasonBusy
	}
	l.fail(now, reason)
}
