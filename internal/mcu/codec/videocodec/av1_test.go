package videocodec

import (
	"encoding/binary"
	"os"
	"testing"

	"parley/internal/media/payload"
)

// A second of AV1 by libaom, 160 × 90, decodes to as many frames.
func TestDecodeAV1(t *testing.T) {
	b, err := os.ReadFile("../../videochild/testdata/av1.ivf")
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(payload.AV1)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n := 0
	for b = b[32:]; len(b) >= 12; n++ {
		size := int(binary.LittleEndian.Uint32(b))
		f, err := d.Decode(b[12 : 12+size])
		if err != nil || f == nil || f.W != 160 || f.H != 90 {
			t.Fatalf("picture %d: %v", n, err)
		}
		b = b[12+size:]
	}
	if n != 30 {
		t.Errorf("%d pictures", n)
	}
}
