package srtp

import "encoding/binary"

// DefaultMaxStreams bounds the SSRCs of one Receiver: a browser with audio,
// camera and screen in three layers with RTX uses 14.
const DefaultMaxStreams = 50

// Receiver opens one direction of a link.
type Receiver struct {
	suite suite
	rtp   streams
	rtcp  streams
}

// NewReceiver derives the session keys from a master key and salt.
func NewReceiver(p Profile, key, salt []byte) (*Receiver, error) {
	s, err := newSuite(p, key, salt)
	if err != nil {
		return nil, err
	}
	r := &Receiver{suite: s}
	r.LimitStreams(DefaultMaxStreams)
	return r, nil
}

// LimitStreams bounds the SSRC states, for RTP and RTCP each. When the table is
// full a new SSRC replaces one long unused, or is refused as [DropStreams].
func (r *Receiver) LimitStreams(n int) { r.rtp.max, r.rtcp.max = max(n, 1), max(n, 1) }

// Streams returns how many SSRCs have been heard, RTP and RTCP.
func (r *Receiver) Streams() (rtp, rtcp int) { return len(r.rtp.list), len(r.rtcp.list) }

// Forget drops the state of an SSRC that ended. Its packets would then open a
// second time, so only call it when the SSRC is no longer accepted above.
func (r *Receiver) Forget(ssrc uint32) {
	r.rtp.remove(ssrc)
	r.rtcp.remove(ssrc)
}

// OpenRTP appends the clear packet to dst. dst may be packet[:0], to open in
// place; a forged packet is then destroyed. Otherwise they must not overlap.
// On a drop the result is dst as it was.
func (r *Receiver) OpenRTP(dst, packet []byte) ([]byte, Drop) {
	header, ok := headerLen(packet)
	if !ok || header+r.suite.tag() > len(packet) {
		return dst, DropMalformed
	}
	seq, ssrc := binary.BigEndian.Uint16(packet[2:]), binary.BigEndian.Uint32(packet[8:])
	var fresh stream
	st := r.rtp.get(ssrc, &fresh)
	index, ok := st.index(seq)
	if !ok || st.begun && !st.fresh(index) {
		return dst, DropReplay
	}
	out := append(dst, packet[:header]...)
	if out, ok = r.suite.openRTP(out, packet, header, ssrc, index); !ok {
		return dst, DropAuth
	}
	if !r.rtp.accept(st, ssrc, index) {
		return dst, DropStreams
	}
	return out, DropNone
}

// OpenRTCP appends the clear compound to dst; overlap as for OpenRTP.
func (r *Receiver) OpenRTCP(dst, packet []byte) ([]byte, Drop) {
	if len(packet) < rtcpClear+rtcpWord+r.suite.tag() || packet[0]>>6 != 2 {
		return dst, DropMalformed
	}
	word, ssrc := r.suite.word(packet), binary.BigEndian.Uint32(packet[4:])
	if word&encrypted == 0 {
		return dst, DropPlain
	}
	index := word &^ uint32(encrypted)
	var fresh stream
	st := r.rtcp.get(ssrc, &fresh)
	if st.begun && !st.fresh(uint64(index)) {
		return dst, DropReplay
	}
	out := append(dst, packet[:rtcpClear]...)
	var ok bool
	if out, ok = r.suite.openRTCP(out, packet, ssrc, index); !ok {
		return dst, DropAuth
	}
	if !r.rtcp.accept(st, ssrc, uint64(index)) {
		return dst, DropStreams
	}
	return out, DropNone
}

// get returns the state of an SSRC, or the blank one: a table entry is made
// only after authentication.
func (t *streams) get(ssrc uint32, blank *stream) *stream {
	if i, ok := t.find(ssrc); ok {
		return &t.list[i]
	}
	return blank
}

// accept notes an authentic packet.
func (t *streams) accept(st *stream, ssrc uint32, index uint64) bool {
	if !st.begun {
		if st = t.add(ssrc); st == nil {
			return false
		}
	}
	st.take(index)
	t.touch(st)
	return true
}
