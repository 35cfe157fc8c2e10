package srtp

import (
	"encoding/binary"
	"slices"
)

// MaxSendStreams bounds the SSRCs of one Sender. They are the server's own
// choice, so this only catches a leak.
const MaxSendStreams = 1024

// Sender seals one direction of a link.
type Sender struct {
	suite    suite
	streams  streams
	rtcp     uint32 // index of the last SRTCP packet, one count for all SSRCs
	noRepeat bool
}

// NewSender derives the session keys from a master key and salt.
func NewSender(p Profile, key, salt []byte) (*Sender, error) {
	s, err := newSuite(p, key, salt)
	if err != nil {
		return nil, err
	}
	return &Sender{suite: s, streams: streams{max: MaxSendStreams}, noRepeat: p == AEADAES128GCM}, nil
}

// Overhead is how many bytes sealing adds to an RTP packet.
func (s *Sender) Overhead() int { return s.suite.tag() }

// OverheadRTCP is how many bytes sealing adds to an RTCP compound.
func (s *Sender) OverheadRTCP() int { return s.suite.tag() + rtcpWord }

// SealRTP appends the protected packet to dst: hdr in the clear (fixed header,
// CSRCs and extension, whole), the encrypted payload (with any RTP padding),
// the tag. payload must not overlap the room after dst. Nothing is allocated
// when dst has room for hdr, payload and Overhead.
//
// A packet may be sealed again only with the CM profile and the same payload;
// see [ErrRepeat].
func (s *Sender) SealRTP(dst, hdr, payload []byte) ([]byte, error) {
	if n, ok := headerLen(hdr); !ok || n != len(hdr) || len(payload) > 1<<16 {
		return dst, ErrMalformed
	}
	seq, ssrc := binary.BigEndian.Uint16(hdr[2:]), binary.BigEndian.Uint32(hdr[8:])
	st, err := s.stream(ssrc)
	if err != nil {
		return dst, err
	}
	index, ok := st.index(seq)
	if !ok {
		return dst, ErrExhausted
	}
	if s.noRepeat && st.begun && !st.fresh(index) {
		return dst, ErrRepeat
	}
	st.take(index)
	s.streams.touch(st)
	start := len(dst)
	dst = slices.Grow(dst, len(hdr)+len(payload)+s.suite.tag())
	dst = append(dst, hdr...)
	return s.suite.sealRTP(dst, start, payload, ssrc, index), nil
}

func (s *Sender) stream(ssrc uint32) (*stream, error) {
	if i, ok := s.streams.find(ssrc); ok {
		return &s.streams.list[i], nil
	}
	if len(s.streams.list) >= s.streams.max {
		return nil, ErrStreams // evicting would restart the index under one key
	}
	return s.streams.add(ssrc), nil
}

// SealRTCP appends the protected compound to dst. compound must not overlap the
// room after dst.
func (s *Sender) SealRTCP(dst, compound []byte) ([]byte, error) {
	if len(compound) < rtcpClear || compound[0]>>6 != 2 {
		return dst, ErrMalformed
	}
	if s.rtcp == encrypted-1 {
		return dst, ErrExhausted
	}
	// One count for all SSRCs keeps index and SSRC together unique, which is
	// all that RFC 3711, section 3.2.1 and the receiver's replay list need.
	s.rtcp++
	start := len(dst)
	dst = slices.Grow(dst, len(compound)+s.OverheadRTCP())
	dst = append(dst, compound[:rtcpClear]...)
	return s.suite.sealRTCP(dst, start, compound[rtcpClear:], binary.BigEndian.Uint32(compound[4:]), s.rtcp), nil
}

// Forget drops the state of an SSRC that will never be used again under this
// key: using it again would repeat indices.
func (s *Sender) Forget(ssrc uint32) { s.streams.remove(ssrc) }

// headerLen is the length of the RTP header with CSRCs and extension (RFC 3550,
// sections 5.1 and 5.3.1).
func headerLen(b []byte) (n int, ok bool) {
	if len(b) < 12 || b[0]>>6 != 2 {
		return 0, false
	}
	n = 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return 0, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	return n, n <= len(b)
}
