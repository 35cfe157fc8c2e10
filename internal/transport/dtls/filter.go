package dtls

import "encoding/binary"

// Sizes and numbers of RFC 6347, section 4.1 and 4.2.2, and RFC 5246, section 7.4.
const (
	recordHeader    = 13
	handshakeHeader = 12

	contentCCS       = 20
	contentAlert     = 21
	contentHandshake = 22
	contentData      = 23

	typeClientHello = 1

	// maxMessage caps one handshake message; a chain with RSA-4096 fits.
	maxMessage = 16 << 10
	// maxSeq caps message_seq; a full handshake uses at most 7 a side.
	maxSeq = 12
	// handshakeBudget caps what may reach pion's reassembly before the keys
	// are there, of one peer (scenario D12: at most 64 KiB pending each).
	handshakeBudget = 40 << 10
	// earlyBudget caps encrypted records queued before the keys are there.
	earlyBudget = 16 << 10
)

// dropReason says why a record was not passed on.
type dropReason int

const (
	dropMalformed  dropReason = iota // lengths, version, epoch
	dropAlert                        // plaintext alert: anyone can forge it
	dropHello                        // foreign or unacceptable ClientHello
	dropUnexpected                   // wrong type for this role or moment
	dropBudget                       // over a cap
	dropReasons
)

var dropNames = [dropReasons]string{"malformed", "alert", "hello", "unexpected", "budget"}

// allowed holds the handshake types one role may receive in clear.
var (
	toServer = [256]bool{11: true, 15: true, 16: true}
	toClient = [256]bool{2: true, 3: true, 4: true, 11: true, 12: true, 13: true, 14: true}
)

// filter is the pure gate in front of pion. Not safe for concurrent use.
type filter struct {
	client  bool
	open    bool // handshake complete
	pinned  bool // server: a ClientHello was accepted
	random  [32]byte
	hellos  []*assembly
	spent   int // handshake bytes passed
	early   int // encrypted bytes passed before open
	topSeq  int
	sawData bool // FirstData was called
	dropped [dropReasons]uint32
}

type record struct {
	kind  byte
	epoch uint16
	raw   []byte // with header
	body  []byte
}

type hsHeader struct {
	kind                     byte
	length, fragOff, fragLen int
	seq                      int
}

func (f *filter) drop(r dropReason) { f.dropped[r]++ }

// pass returns the records of a datagram that may reach pion, copied into one
// new datagram; nil when none is left.
func (f *filter) pass(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		r, rest, ok := nextRecord(b)
		if !ok {
			f.drop(dropMalformed)
			break
		}
		b = rest
		out = append(out, f.record(r)...)
	}
	return out
}

func nextRecord(b []byte) (r record, rest []byte, ok bool) {
	if len(b) < recordHeader || b[1] != 0xFE || (b[2] != 0xFD && b[2] != 0xFF) {
		return r, nil, false
	}
	n := recordHeader + int(binary.BigEndian.Uint16(b[11:]))
	if n > len(b) || n == recordHeader {
		return r, nil, false
	}
	r = record{kind: b[0], epoch: binary.BigEndian.Uint16(b[3:]), raw: b[:n:n], body: b[recordHeader:n]}
	return r, b[n:], true
}

// record returns the bytes to pass for one record.
func (f *filter) record(r record) []byte {
	switch {
	case r.epoch > 1:
		f.drop(dropMalformed)
	case r.epoch == 1:
		return f.encrypted(r)
	case r.kind == contentHandshake:
		return f.handshake(r)
	case r.kind == contentCCS && len(r.body) == 1 && r.body[0] == 1 && f.started():
		return r.raw
	case r.kind == contentAlert:
		f.drop(dropAlert)
	default:
		f.drop(dropUnexpected)
	}
	return nil
}

func (f *filter) started() bool { return f.client || f.pinned }

// encrypted judges a record of epoch 1. Before the keys are there pion queues
// such records, so their sum is capped; a Finished is small and always passes
// (pion keeps at most 100 records).
func (f *filter) encrypted(r record) []byte {
	const finished = 128
	switch {
	case r.kind < contentAlert || r.kind > contentData || !f.started():
		// ChangeCipherSpec too: pion does not decrypt it, and a forged one of
		// the wrong form would end the connection.
		f.drop(dropUnexpected)
		return nil
	case f.open && r.kind == contentHandshake:
		// Renegotiation is never done; a lost Finished is repeated together
		// with its ClientKeyExchange, which is answered below.
		f.drop(dropUnexpected)
		return nil
	case f.open || len(r.body) <= finished:
		return r.raw
	case f.early+len(r.body) > earlyBudget:
		f.drop(dropBudget)
		return nil
	}
	f.early += len(r.body)
	return r.raw
}

// handshake judges a plaintext handshake record, which may hold several
// messages or fragments.
func (f *filter) handshake(r record) []byte {
	first, frag, _, ok := nextMessage(r.body)
	if !ok {
		f.drop(dropMalformed)
		return nil
	}
	if first.kind == typeClientHello {
		return f.hello(r, first, frag)
	}
	top := 0
	for b := r.body; len(b) > 0; {
		h, _, rest, ok := nextMessage(b)
		if !ok || h.length > maxMessage || h.seq > maxSeq {
			f.drop(dropMalformed)
			return nil
		}
		if !f.expects(h) {
			f.drop(dropUnexpected)
			return nil
		}
		top, b = max(top, h.seq), rest
	}
	if !f.open {
		if f.spent+len(r.body) > handshakeBudget {
			f.drop(dropBudget)
			return nil
		}
		f.spent += len(r.body)
		f.topSeq = max(f.topSeq, top)
	}
	return r.raw
}

func (f *filter) expects(h hsHeader) bool {
	if !f.started() || f.open && h.seq > f.topSeq {
		return false
	}
	if f.client {
		return toClient[h.kind]
	}
	return toServer[h.kind]
}

func (f *filter) hello(r record, h hsHeader, frag []byte) []byte {
	if f.client || f.open {
		f.drop(dropUnexpected)
		return nil
	}
	body := f.helloFragment(h, frag)
	if body == nil {
		return nil
	}
	if !f.acceptHello(body) {
		f.drop(dropHello)
		return nil
	}
	return wrapHello(r, h, body)
}

// nextMessage reads one handshake fragment (RFC 6347, section 4.2.2).
func nextMessage(b []byte) (h hsHeader, frag, rest []byte, ok bool) {
	if len(b) < handshakeHeader {
		return h, nil, nil, false
	}
	h = hsHeader{
		kind: b[0], length: u24(b[1:]), seq: int(binary.BigEndian.Uint16(b[4:])),
		fragOff: u24(b[6:]), fragLen: u24(b[9:]),
	}
	end := handshakeHeader + h.fragLen
	if end > len(b) || h.fragOff+h.fragLen > h.length || h.fragLen == 0 && h.length != 0 {
		return h, nil, nil, false
	}
	return h, b[handshakeHeader:end], b[end:], true
}

func u24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
