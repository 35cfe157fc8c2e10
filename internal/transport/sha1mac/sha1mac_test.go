package sha1mac

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"testing"
)

// RFC 2202, section 3, test cases 1, 2 and 6.
func TestRFC2202(t *testing.T) {
	for _, c := range []struct {
		key, data []byte
		want      string
	}{
		{bytes.Repeat([]byte{0x0b}, 20), []byte("Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00"},
		{[]byte("Jefe"), []byte("what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
		{bytes.Repeat([]byte{0xaa}, 80), []byte("Test Using Larger Than Block-Size Key - Hash Key First"),
			"aa4ae5e15272d00e95705637ce8a3b55ed402112"},
	} {
		var got [Size]byte
		New(c.key).Sum(&got, c.data, nil, nil)
		if hex.EncodeToString(got[:]) != c.want {
			t.Errorf("%x, want %s", got, c.want)
		}
	}
}

func TestAgreesWithStandardLibrary(t *testing.T) {
	data := make([]byte, 700)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for n := 0; n < 300; n += 13 {
		key := data[:n]
		k := New(key)
		for m := 0; m <= 600; m += 37 {
			a, b, c := data[:m/6], data[:m], data[m/2:m]
			h := hmac.New(sha1.New, key)
			h.Write(a)
			h.Write(b)
			h.Write(c)
			var got [Size]byte
			k.Sum(&got, a, b, c)
			if !bytes.Equal(got[:], h.Sum(nil)) {
				t.Fatalf("key %d bytes, data %d", n, m)
			}
		}
	}
}

func TestSumDoesNotAllocate(t *testing.T) {
	k, b := New([]byte("key")), make([]byte, 1200)
	var got [Size]byte
	allocs := testing.AllocsPerRun(200, func() {
		a, c := [20]byte{1}, [4]byte{2}
		k.Sum(&got, a[:], b, c[:])
	})
	if allocs != 0 && !raceEnabled {
		t.Fatalf("%v allocations", allocs)
	}
}

func BenchmarkSum(b *testing.B) {
	k, data := New([]byte("key")), make([]byte, 100)
	var got [Size]byte
	b.ReportAllocs()
	for b.Loop() {
		k.Sum(&got, data[:20], data[20:], nil)
	}
}

func BenchmarkStandardLibrary(b *testing.B) {
	data := make([]byte, 100)
	key := []byte("key")
	b.ReportAllocs()
	for b.Loop() {
		h := hmac.New(sha1.New, key)
		h.Write(data)
		h.Sum(nil)
	}
}
