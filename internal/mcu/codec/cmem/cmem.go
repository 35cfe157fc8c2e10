// Package cmem is memory of the C library for bindings: what C keeps beyond a
// call, and structures that point at each other, live here and not in Go's heap.
// Reading and writing go through offsets that the bindings document.
//
// Memory belongs to one goroutine and must be freed.
package cmem

import (
	"encoding/binary"
	"math"
	"sync"
	"unsafe"

	"parley/internal/mcu/codec/dlopen"
)

var libc struct {
	once         sync.Once
	calloc, free dlopen.Func
	err          error
}

func load() error {
	libc.once.Do(func() {
		var l *dlopen.Lib
		if l, libc.err = dlopen.Open("libc.so.6", "libc.so.7"); libc.err == nil {
			libc.err = l.Load(map[string]*dlopen.Func{"calloc": &libc.calloc, "free": &libc.free})
		}
	})
	return libc.err
}

// Block is zeroed memory of C.
type Block struct {
	p uintptr
	B []byte
}

// Alloc makes a block.
func Alloc(n int) (*Block, error) {
	if err := load(); err != nil {
		return nil, err
	}
	p := libc.calloc.Call(1, uintptr(n))
	if p == 0 {
		return nil, errMemory
	}
	return &Block{p: p, B: Bytes(p, n)}, nil
}

type memoryError struct{}

func (memoryError) Error() string { return "cmem: out of memory" }

var errMemory = memoryError{}

// Free gives the block back; it may be called again and on nil.
func (b *Block) Free() {
	if b != nil && b.p != 0 {
		libc.free.Call(b.p)
		b.p, b.B = 0, nil
	}
}

// Ptr is the block's address.
func (b *Block) Ptr() uintptr { return b.p }

// I32 reads an int.
func (b *Block) I32(at int) int { return int(int32(binary.NativeEndian.Uint32(b.B[at:]))) }

// SetI32 writes an int.
func (b *Block) SetI32(at, v int) { binary.NativeEndian.PutUint32(b.B[at:], uint32(int32(v))) }

// SetF32 writes a float.
func (b *Block) SetF32(at int, v float32) {
	binary.NativeEndian.PutUint32(b.B[at:], math.Float32bits(v))
}

// Word reads a pointer or size_t.
func (b *Block) Word(at int) uintptr { return uintptr(binary.NativeEndian.Uint64(b.B[at:])) }

// SetWord writes a pointer or size_t.
func (b *Block) SetWord(at int, v uintptr) { binary.NativeEndian.PutUint64(b.B[at:], uint64(v)) }

// Bytes is n bytes of C memory at p, for as long as C keeps them.
func Bytes(p uintptr, n int) []byte {
	if p == 0 || n <= 0 {
		return nil
	}
	// The detour tells vet that the address is none of Go's.
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), n)
}

// Word reads a pointer at an address of C.
func Word(p uintptr) uintptr { return uintptr(binary.NativeEndian.Uint64(Bytes(p, 8))) }

// I32 reads an int at an address of C.
func I32(p uintptr) int { return int(int32(binary.NativeEndian.Uint32(Bytes(p, 4)))) }
