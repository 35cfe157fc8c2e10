//go:build !nodlopen && (linux || freebsd) && (amd64 || arm64)

package dlopen

import (
	"fmt"

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
