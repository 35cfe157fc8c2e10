//go:build nodlopen || !(linux || freebsd) || !(amd64 || arm64)

package dlopen

import "fmt"

// Open fails: this build calls no C libraries.
func Open(names ...string) (*Lib, error) {
	return nil, &Missing{Names: names, Last: "built without dlopen"}
}

// Sym fails.
func (l *Lib) Sym(name string) (Func, error) {
	return 0, fmt.Errorf("%s: built without dlopen", name)
}

// Call must not be called.
func (f Func) Call(...uintptr) uintptr { panic("dlopen: built without") }

// String returns nothing.
func String(uintptr) string { return "" }

// Copy must not be called.
func Copy([]byte, uintptr) { panic("dlopen: built without") }
