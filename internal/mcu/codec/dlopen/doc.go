// Package dlopen calls C libraries that are installed on the machine, without
// cgo: the server is built with no compiler and runs with none of them. Built
// with the tag nodlopen it holds nothing of this (a static binary for images
// without glibc) and Open always fails.
//
// Rules for bindings: what C keeps beyond a call is C's own memory; what is
// passed for one call is written uintptr(unsafe.Pointer(&x[0])) inside the call's
// argument list and nowhere else, which keeps it alive and in place (unsafe,
// rule 4). Functions with floating point arguments cannot be called.
//
// Safe for concurrent use; whether a C function is, its library says.
package dlopen

import (
	"errors"
	"strings"
)

// ErrMissing is returned when none of the names can be opened.
var ErrMissing = errors.New("library not installed")

// Missing is ErrMissing with the names that were tried.
type Missing struct {
	Names []string
	Last  string // what the loader said about the last one
}

// Error implements error.
func (m *Missing) Error() string {
	return ErrMissing.Error() + ": " + strings.Join(m.Names, ", ") + " (" + m.Last + ")"
}

// Is makes errors.Is(err, ErrMissing) true.
func (m *Missing) Is(err error) bool { return err == ErrMissing }

// Func is the address of a C function.
type Func uintptr

// Lib is an open library; it stays open for the life of the process.
type Lib struct {
	Name   string // the soname that opened
	handle uintptr
}
