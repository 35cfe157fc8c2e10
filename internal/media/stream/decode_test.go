package stream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"parley/internal/media/layer"
	"parley/internal/media/payload"
	"parley/internal/media/rtp"
)

// coded is one picture as a decoder takes it.
type coded struct {
	data []byte
	ts   int64 // when it was taken, by its sender's clock
	s    uint8 // highest spatial layer
	enc  uint8
}

// pictures puts packets together, leaving out pictures that were cut off.
func (s *stage) pictures(got []outPacket) (list []coded) {
	a := payload.NewAssembler(s.codec)
	var of map[uint32]coded
	flush := func(now int, pack []outPacket) {
		last := &pack[len(pack)-1]
		if !last.hdr.Marker {
			return
		}
		for i := range pack {
			o := &pack[i]
			a.Push(base, uint16(now+i), o.hdr.TS, o.hdr.Marker, o.payload)
		}
		u, ok := a.Pop(base)
		if !ok {
			s.t.Fatalf("picture at %v cannot be put together", last.at)
		}
		c := of[u.TS]
		c.data = bytes.Clone(u.Data)
		list = append(list, c)
	}
	of = map[uint32]coded{}
	n, from := 0, 0
	for i := range got {
		o := &got[i]
		c, ok := of[o.hdr.TS]
		if !ok {
			c.ts, c.enc = int64(o.in.Hdr.TS), o.in.Layer
		}
		c.s = max(c.s, o.in.Frame.Spatial)
		of[o.hdr.TS] = c
		if i+1 == len(got) || got[i+1].hdr.TS != o.hdr.TS {
			flush(n, got[from:i+1])
			if o.hdr.Marker {
				n += i + 1 - from
			}
			from = i + 1
		}
	}
	return list
}

// decode has ffmpeg decode pictures and returns a checksum and the size of each
// that is shown, by its place in the list. Any complaint fails the test.
func decode(t *testing.T, c payload.Codec, list []coded) map[int]string {
	t.Helper()
	fourcc := map[payload.Codec]string{payload.VP8: "VP80", payload.VP9: "VP90", payload.AV1: "AV01", payload.H264: "H264"}[c]
	decoder := map[payload.Codec]string{payload.VP8: "vp8", payload.VP9: "libvpx-vp9", payload.AV1: "libdav1d", payload.H264: "h264"}[c]
	f := append([]byte("DKIF"), 0, 0, 32, 0)
	f = append(f, fourcc...)
	f = binary.LittleEndian.AppendUint16(f, 960)
	f = binary.LittleEndian.AppendUint16(f, 540)
	f = binary.LittleEndian.AppendUint32(f, 1000)
	f = binary.LittleEndian.AppendUint32(f, 1)
	f = binary.LittleEndian.AppendUint32(f, uint32(len(list)))
	f = append(f, 0, 0, 0, 0)
	for i := range list {
		f = binary.LittleEndian.AppendUint32(f, uint32(len(list[i].data)))
		f = binary.LittleEndian.AppendUint64(f, uint64(i))
		f = append(f, list[i].data...)
	}
	file := filepath.Join(t.TempDir(), "out.ivf")
	if err := os.WriteFile(file, f, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "warning", "-xerror", "-err_detect", "explode", "-threads", "1",
		"-c:v", decoder, "-i", file, "-autoscale", "0", "-fps_mode", "passthrough", "-copyts", "-c:v", "rawvideo", "-f", "framehash", "-hash", "md5", "-")
	var said bytes.Buffer
	cmd.Stderr = &said
	b, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("ffmpeg (make test installs it): %v %s", err, said.String())
	}
	shown := map[int]string{}
	for line := range strings.Lines(string(b)) {
		part := strings.Split(strings.TrimSpace(line), ",")
		if len(part) < 6 || strings.HasPrefix(line, "#") {
			continue
		}
		pts, err := strconv.Atoi(strings.TrimSpace(part[2]))
		if err != nil || pts >= len(list) {
			t.Fatal(line)
		}
		shown[pts] = strings.TrimSpace(part[4]) + " bytes " + strings.TrimSpace(part[5])
	}
	return shown
}

// reference decodes an encoding up to a spatial layer, all of it, and returns the
// checksum of each picture by when it was taken.
func (s *stage) reference(t *testing.T, c string, enc, spatial uint8) map[int64]string {
	r := newStage(t, load(t, c))
	var all []outPacket
	r.p.Dead = true // nothing is sent; packets are only told what they are
	for i := range r.c.Packets {
		p := &r.c.Packets[i]
		var h rtp.Header
		if rtp.Parse(p.RTP, &h) != rtp.OK || h.PayloadType != r.pt || r.encoding(h.SSRC) != enc {
			continue
		}
		in := r.parse(*p)
		if in.Frame.Spatial > spatial || h.PayloadOff == h.PayloadEnd {
			in.Buf.Release()
			continue
		}
		o := outPacket{hdr: h, payload: bytes.Clone(in.Payload()), in: in, at: p.At}
		o.hdr.Marker = h.Marker || in.Frame.Has(layer.Known|layer.End) && in.Frame.Spatial == spatial
		all = append(all, o)
		in.Buf.Release()
	}
	list := r.pictures(all)
	found := map[int64]string{}
	for i, sum := range decode(t, r.codec, list) {
		found[list[i].ts] = sum
	}
	return found
}

// TestReplayDecodes: what is sent can be decoded at every switch, and every
// picture is, bit by bit, the one that a receiver of that layer from the
// beginning has. A reference that was left out would show here as a picture
// that is not the same.
func TestReplayDecodes(t *testing.T) {
	for _, name := range allCaptures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := load(t, name)
			refs := map[string]map[int64]string{}
			for seed := range uint64(2) {
				s := newStage(t, c)
				s.run(anyScript(c, seed))
				list := s.pictures(s.mediaOf(s.got))
				sums := decode(t, s.codec, list)
				switches, wrong := 0, 0
				for i := range list {
					x := &list[i]
					if i > 0 && (x.enc != list[i-1].enc || x.s != list[i-1].s) {
						switches++
					}
					key := fmt.Sprint(x.enc, x.s)
					if refs[key] == nil {
						refs[key] = s.reference(t, name, x.enc, x.s)
					}
					if want, got := refs[key][x.ts], sums[i]; got == "" || got != want {
						wrong++
						t.Errorf("seed %d: picture %d of %d (encoding %d, spatial layer %d): %q, not %q", seed, i, len(list), x.enc, x.s, got, want)
						if wrong > 3 {
							break
						}
					}
				}
				t.Logf("seed %d: %d pictures, %d switches of size", seed, len(list), switches)
			}
		})
	}
}
