//go:build !nodlopen && (linux || freebsd) && (amd64 || arm64)

package dlopen

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Open opens the first of the sonames that is installed.
func Open(names ...string) (*Lib, error) {
	miss := &Missing{Names: names}
	for _, n := range names {
		h, err := purego.Dlopen(n, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err == nil {
			return &Lib{Name: n, handle: h}, nil
		}
		miss.Last = err.Error()
	}
	return nil, miss
}

// Sym finds a function.
func (l *Lib) Sym(name string) (Func, error) {
	p, err := purego.Dlsym(l.handle, name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", l.Name, err)
	}
	return Func(p), nil
}

// Call calls a function with integers and pointers and returns what it left in
// the result register; an int of C is the low 32 bits: int32(f.Call(…)).
//
//go:uintptrescapes
func (f Func) Call(args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(uintptr(f), args...)
	return r
}

// libc is where String finds memcpy: copying by C keeps pointers of C out of
// unsafe.Pointer, which vet and checkptr rightly distrust.
var libc = sync.OnceValue(func() (f struct{ strlen, memcpy Func }) {
	if l, err := Open("libc.so.6", "libc.so.7"); err == nil {
		_ = l.Load(map[string]*Func{"strlen": &f.strlen, "memcpy": &f.memcpy})
	}
	return f
})

// String copies a C string, at most 255 bytes of it.
func String(p uintptr) string {
	c := libc()
	if p == 0 || c.strlen == 0 || c.memcpy == 0 {
		return ""
	}
	b := make([]byte, min(c.strlen.Call(p), 255))
	if len(b) > 0 {
		Copy(b, p)
	}
	return string(b)
}

// Copy copies len(dst) bytes out of C memory.
func Copy(dst []byte, src uintptr) {
	if len(dst) > 0 {
		libc().memcpy.Call(uintptr(unsafe.Pointer(&dst[0])), src, uintptr(len(dst)))
	}
}
