package dlopen_test

import (
	"errors"
	"testing"
	"unsafe"

	"parley/internal/mcu/codec/dlopen"
)

func TestMissingLibraryIsSaid(t *testing.T) {
	_, err := dlopen.Open("libparley-none.so.1", "libparley-none.so.2")
	if !errors.Is(err, dlopen.ErrMissing) {
		t.Fatalf("got %v", err)
	}
}

// A pointer given for one call reaches C, also under checkptr (-race).
func TestCallPassesMemory(t *testing.T) {
	l, err := dlopen.Open("libc.so.6", "libc.so.7")
	if err != nil {
		t.Logf("no C library of a known name, nothing to call: %v", err)
		return
	}
	var memset, strlen dlopen.Func
	if err := l.Load(map[string]*dlopen.Func{"memset": &memset, "strlen": &strlen}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 9)
	memset.Call(uintptr(unsafe.Pointer(&b[0])), 'x', 8)
	if n := strlen.Call(uintptr(unsafe.Pointer(&b[0]))); n != 8 || string(b[:8]) != "xxxxxxxx" {
		t.Fatalf("strlen = %d, %q", n, b)
	}
	if err := l.Load(map[string]*dlopen.Func{"parley_none": &memset}); err == nil {
		t.Fatal("a function that is not there was found")
	}
}
