// Package sha1mac is HMAC-SHA1 (RFC 2104) for many keys that are each used now
// and then: STUN's MESSAGE-INTEGRITY and SRTP's authentication tag.
//
// A [Key] holds the two hash states after the padded key, so that a sum costs
// no key set-up; the working memory is shared through a pool, so that a
// thousand cold keys stay small. It is not a general hash and must not be used
// where SHA-1's collision resistance matters.
//
// Threading: a Key is read-only after New and safe for concurrent use.
package sha1mac

import (
	"crypto/sha1"
	"encoding"
	"hash"
	"sync"
)

// Size is the length of a full sum.
const Size = sha1.Size

const stateSize = 96 // of a marshalled SHA-1 state; checked at start

// Key is a prepared HMAC key.
type Key struct {
	inner, outer [stateSize]byte
}

// state is what crypto/sha1's digest offers beside hash.Hash.
type state interface {
	hash.Hash
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// work is the memory of one sum. The arrays live here because what is passed
// to an interface method escapes to the heap.
type work struct {
	h   state
	key [stateSize]byte
	sum [Size]byte
	buf [64]byte
}

var pool = sync.Pool{New: func() any { return &work{h: newState()} }}

func newState() state {
	h, ok := sha1.New().(state)
	if !ok {
		panic("sha1mac: crypto/sha1 cannot save its state")
	}
	return h
}

// New prepares a key of any length.
func New(key []byte) *Key {
	k := new(Key)
	k.Init(key)
	return k
}

// Init prepares k in place, for owners that hold a Key by value.
func (k *Key) Init(key []byte) {
	h := newState()
	var block [sha1.BlockSize]byte
	if len(key) > len(block) {
		h.Write(key)
		h.Sum(block[:0])
		h.Reset()
	} else {
		copy(block[:], key)
	}
	prepare := func(dst *[stateSize]byte, pad byte) {
		padded := block
		for i := range padded {
			padded[i] ^= pad
		}
		h.Reset()
		h.Write(padded[:])
		b, err := h.MarshalBinary()
		if err != nil || len(b) != stateSize {
			panic("sha1mac: unexpected state of crypto/sha1")
		}
		copy(dst[:], b)
	}
	prepare(&k.inner, 0x36)
	prepare(&k.outer, 0x5c)
}

// Sum computes the HMAC of a||b||c into dst. The pieces a and c are copied
// through pooled memory and so may lie on the caller's stack; keep them short.
func (k *Key) Sum(dst *[Size]byte, a, b, c []byte) {
	w := pool.Get().(*work)
	w.restore(&k.inner)
	w.write(a)
	if len(b) > 0 {
		w.h.Write(b)
	}
	w.write(c)
	w.h.Sum(w.sum[:0])
	w.restore(&k.outer)
	w.h.Write(w.sum[:])
	w.h.Sum(w.sum[:0])
	*dst = w.sum
	pool.Put(w)
}

func (w *work) restore(s *[stateSize]byte) {
	w.key = *s
	if w.h.UnmarshalBinary(w.key[:]) != nil {
		panic("sha1mac: state refused by crypto/sha1")
	}
}

// write copies a through the work memory, so that a stays on its owner's stack.
func (w *work) write(a []byte) {
	for len(a) > 0 {
		n := copy(w.buf[:], a)
		w.h.Write(w.buf[:n])
		a = a[n:]
	}
}
