//go:build linux && (amd64 || arm64)

package main

import (
	"encoding/binary"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	if o, err := parse(nil); err != nil || len(o.sizes) != 6 || o.receivers != 100 {
		t.Fatalf("%+v %v", o, err)
	}
	for _, bad := range []string{
		"-sizes 0", "-sizes 1473", "-sizes 1,x", "-addr ::1", "-addr nowhere", "-receivers 0", "-rounds 0", "-unknown",
		"-sizes " + strings.Repeat("9,", 44) + "9",
	} {
		if _, err := parse(strings.Fields(bad)); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}

func TestDatagrams(t *testing.T) {
	ctl := make([]byte, 24)
	binary.NativeEndian.PutUint32(ctl[16:], 1100)
	if datagrams(100, nil) != 1 || datagrams(3300, ctl) != 3 || datagrams(3301, ctl) != 4 {
		t.Fatal("count")
	}
}
