package capture_test

import (
	"encoding/binary"
	"io/fs"
	"os"
	"strings"
	"testing"

	"parley/internal/media/layer/capture"
)

const dir = "../testdata/captures"

// TestCapturesAreWhatTheirDescriptionsSay: every file reads to its end, and
// holds the streams that its description counts.
func TestCapturesAreWhatTheirDescriptionsSay(t *testing.T) {
	files, err := fs.Glob(os.DirFS(dir), "*.rtpdump")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		c, err := capture.Load(os.DirFS(dir), strings.TrimSuffix(f, ".rtpdump"))
		if err != nil {
			t.Fatal(f, err)
		}
		count := map[uint32]int{}
		for i, p := range c.Packets {
			if len(p.RTP) < 12 || p.RTP[0]>>6 != 2 || i > 0 && p.At < c.Packets[i-1].At {
				t.Fatalf("%s: packet %d", f, i)
			}
			count[binary.BigEndian.Uint32(p.RTP[8:])]++
		}
		for _, s := range c.Description.Streams {
			if count[s.SSRC] != s.Packets {
				t.Errorf("%s: SSRC %d has %d packets, not %d", f, s.SSRC, count[s.SSRC], s.Packets)
			}
		}
		pt, mime := c.Description.Codec()
		if rids := strings.Contains(f, "simulcast"); pt == 0 || rids != (c.Description.SSRC("f") != 0) || rids == (c.Description.SSRC("") != 0) {
			t.Errorf("%s: %d %s, streams %+v", f, pt, mime, c.Description.Streams)
		}
		dd := strings.Contains(f, "av1") || strings.Contains(f, "-dd")
		if has := c.Description.Extension("dependency-descriptor") != 0; has != dd {
			t.Errorf("%s: dependency descriptor: %v", f, has)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile(dir + "/av1-l2t2.rtpdump")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:600])
	f.Add([]byte("#!rtpplay1.0 x\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = capture.Parse(b) })
}
