package link

import (
	"encoding/binary"

	"parley/internal/transport/dtls"
	"parley/internal/transport/srtp"
)

// install makes the SRTP contexts from the handshake's keys.
func (l *Link) install(k dtls.Keys) error {
	p := srtp.Profile(k.Profile)
	send, err := srtp.NewSender(p, k.LocalKey, k.LocalSalt)
	if err != nil {
		return err
	}
	recv, err := srtp.NewReceiver(p, k.RemoteKey, k.RemoteSalt)
	if err != nil {
		return err
	}
	l.send, l.recv, l.profile = send, recv, p.String()
	l.rtpExtra, l.rtcpExtra = send.Overhead(), send.OverheadRTCP()
	return nil
}

// Overhead returns how many bytes sealing adds to an RTP and to an RTCP packet.
func (l *Link) Overhead() (rtp, rtcp int) { return l.rtpExtra, l.rtcpExtra }

// SealRTP appends to dst one packet: head is the RTP header and what else of
// the payload is written anew (the OSN of an RTX packet), then the payload, then
// pad bytes of RTP padding, for which the caller has set the P bit. The payload
// is encrypted from where it lies; only when head or padding adds to it is it
// brought together first. CanSend must hold.
func (l *Link) SealRTP(dst, head, payload []byte, pad int) ([]byte, error) {
	n := headerLen(head)
	if len(head) > n || pad > 0 {
		body := append(append(l.cfg.Shared.body[:0], head[n:]...), payload...)
		if pad > 0 {
			body = append(body, zeros[:pad-1]...)
			body = append(body, byte(pad)) // RFC 3550, section 5.1
		}
		head, payload = head[:n], body
	}
	out, err := l.send.SealRTP(dst, head, payload)
	if err == nil {
		l.PacketsOut++
		l.BytesOut += uint64(len(out) - len(dst))
	}
	return out, err
}

var zeros [255]byte

// headerLen is the length of the RTP header in b (RFC 3550, sections 5.1 and
// 5.3.1), at most len(b). b is our own making.
func headerLen(b []byte) int {
	if len(b) < 12 {
		return len(b)
	}
	n := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 && len(b) >= n+4 {
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	return min(n, len(b))
}

// SealRTCP appends one compound packet to dst. CanSend must hold.
func (l *Link) SealRTCP(dst, compound []byte) ([]byte, error) {
	out, err := l.send.SealRTCP(dst, compound)
	if err == nil {
		l.PacketsOut++
		l.BytesOut += uint64(len(out) - len(dst))
	}
	return out, err
}
