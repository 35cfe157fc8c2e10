package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"reflect"
	"unsafe"
)

// ctr is AES in counter mode with a key that stays and an IV for each packet.
//
// The standard library's stream runs eight blocks at a time, but it is made for
// one IV: a new one costs 528 bytes of garbage per packet. Its counter fields
// are therefore set from here, where reflection finds them and a test at start
// proves that setting them works; otherwise blocks are encrypted one by one,
// which is slower and also free of garbage.
type ctr struct {
	stream cipher.Stream
	state  unsafe.Pointer // of the stream; nil: use block
	block  cipher.Block
	iv, ks [aes.BlockSize]byte
}

// layout is where the standard library's CTR keeps its counter.
type layout struct {
	ok         bool
	lo, hi, at uintptr
}

var fields layout

func init() { fields = probe() }

func newCTR(key []byte) (*ctr, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if !fields.ok {
		return &ctr{block: block}, nil
	}
	var iv [aes.BlockSize]byte
	c := &ctr{stream: cipher.NewCTR(block, iv[:])}
	c.state = stateOf(c.stream)
	return c, nil
}

// xor encrypts or decrypts src into dst with the IV hi||lo. The slices are of
// one length and are the same memory or do not overlap.
func (c *ctr) xor(dst, src []byte, hi, lo uint64) {
	if c.state != nil {
		*(*uint64)(unsafe.Add(c.state, fields.lo)) = lo
		*(*uint64)(unsafe.Add(c.state, fields.hi)) = hi
		*(*uint64)(unsafe.Add(c.state, fields.at)) = 0
		c.stream.XORKeyStream(dst, src)
		return
	}
	binary.BigEndian.PutUint64(c.iv[:], hi)
	for ; len(src) > 0; lo++ { // the low 16 bits count; a packet cannot overflow them
		binary.BigEndian.PutUint64(c.iv[8:], lo)
		c.block.Encrypt(c.ks[:], c.iv[:])
		n := subtle.XORBytes(dst, src, c.ks[:])
		dst, src = dst[n:], src[n:]
	}
}

// stateOf returns the address of the struct behind a stream of the known shape
// (a struct of one pointer to a struct), or nil.
func stateOf(s cipher.Stream) unsafe.Pointer {
	v := reflect.ValueOf(s)
	if v.Kind() != reflect.Struct || v.NumField() != 1 || v.Field(0).Kind() != reflect.Pointer {
		return nil
	}
	return v.Field(0).UnsafePointer()
}

func probe() (l layout) {
	key := []byte("0123456789abcdef")
	block, err := aes.NewCipher(key)
	if err != nil {
		return l
	}
	s := cipher.NewCTR(block, key)
	if stateOf(s) == nil {
		return l
	}
	t := reflect.TypeOf(s).Field(0).Type.Elem()
	if t.Kind() != reflect.Struct {
		return l
	}
	for name, at := range map[string]*uintptr{"ivlo": &l.lo, "ivhi": &l.hi, "offset": &l.at} {
		f, ok := t.FieldByName(name)
		if !ok || f.Type.Kind() != reflect.Uint64 {
			return l
		}
		*at = f.Offset
	}
	fields = l
	l.ok = proven(block, s)
	return l
}

// proven compares the reused stream with fresh ones, over lengths that take
// every path of the assembly.
func proven(block cipher.Block, s cipher.Stream) bool {
	c := &ctr{stream: s, state: stateOf(s)}
	var iv [aes.BlockSize]byte
	src := bytes.Repeat([]byte("packet"), 60)
	got, want := make([]byte, len(src)), make([]byte, len(src))
	for n := 1; n <= len(src); n += 23 {
		hi, lo := uint64(n)*0x9e3779b97f4a7c15, uint64(n)*0xc2b2ae3d27d4eb4f
		binary.BigEndian.PutUint64(iv[:], hi)
		binary.BigEndian.PutUint64(iv[8:], lo)
		cipher.NewCTR(block, iv[:]).XORKeyStream(want[:n], src[:n])
		c.xor(got[:n], src[:n], hi, lo)
		if !bytes.Equal(got[:n], want[:n]) {
			return false
		}
	}
	return true
}
