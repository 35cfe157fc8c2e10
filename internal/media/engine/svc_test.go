package engine_test

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/base/clock"
	"parley/internal/media/layer"
	"parley/internal/media/layer/capture"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

// recorded is a publisher that sends what Chromium sent.
type recorded struct {
	*pub
	c      *capture.Capture
	start  clock.Time
	dd     uint8  // id of the dependency descriptor
	frames uint16 // of one recording
}

func newRecorded(r *room, name string) *recorded {
	c, err := capture.Load(os.DirFS("../layer/testdata/captures"), name)
	if err != nil {
		r.t.Fatal(err)
	}
	x := &recorded{c: c, start: r.now}
	var exts plane.ExtIDs
	exts[plane.ExtMID] = c.Description.Extension("sdes:mid")
	exts[plane.ExtDependency] = c.Description.Extension("dependency-descriptor")
	x.dd = exts[plane.ExtDependency]
	exts[plane.ExtTransportCC] = c.Description.Extension("transport-wide")
	pt, mime := c.Description.Codec()
	m := plane.LegMedia{Sections: []plane.Section{{MID: "0", Kind: plane.Video, Exts: exts, Recv: &plane.Recv{Codecs: []plane.Codec{
		{Name: strings.TrimSuffix(mime, "/90000"), PT: pt, ClockRate: 90000, NACK: true, PLI: true, TWCC: true}}}}}}
	x.pub = r.join(0, m).publish("0", plane.Video, c.Description.SSRC(""))
	return x
}

// watcher joins with a section for the recorded codec.
func (x *recorded) watcher(r *room, shard int) *peer {
	_, mime := x.c.Description.Codec()
	exts := subExts
	exts[plane.ExtDependency] = 12
	return r.join(shard, plane.LegMedia{Sections: []plane.Section{{MID: "s0", Kind: plane.Video, Exts: exts, Send: &plane.Send{Codecs: []plane.Codec{
		{Name: strings.TrimSuffix(mime, "/90000"), PT: 111, RTX: 112, ClockRate: 90000, NACK: true, PLI: true, REMB: true}}}}}})
}

// play sends the recording again and again, as one stream, for a while.
func (x *recorded) play(r *room, from, to time.Duration) {
	span := time.Duration(x.c.Description.Millis)*time.Millisecond + 40*time.Millisecond
	for n := from / span; n <= to/span; n++ {
		for i, p := range x.c.Packets {
			at := n*span + p.At
			if at < from || at >= to {
				continue
			}
			if wait := x.start.Add(at).Sub(r.now); wait > 0 {
				r.run(wait)
			}
			b := append([]byte(nil), p.RTP...)
			var h rtp.Header
			if rtp.Parse(b, &h) != rtp.OK {
				r.t.Fatal(i)
			}
			binary.BigEndian.PutUint16(b[2:], uint16(int(n)*len(x.c.Packets)+i))
			binary.BigEndian.PutUint32(b[4:], h.TS+uint32(n*span/time.Microsecond*9/100))
			if d, ok := h.Ext(b, x.dd); ok {
				frame := binary.BigEndian.Uint16(d[1:])
				if x.frames = max(x.frames, frame); n > 0 {
					binary.BigEndian.PutUint16(d[1:], frame+uint16(n)*x.frames)
				}
			}
			x.p.rtp(b)
		}
	}
}

// TestLayersOfSVC: a receiver that wants a small picture, and one whose path got
// narrow, are sent the layers for it and nothing above, at their shards; each
// that can go up or down without a key frame does. What they get can be decoded
// by its dependencies, and others see all.
func TestLayersOfSVC(t *testing.T) {
	for _, shards := range []int{1, 2} {
		r := newRoom(t, shards)
		x := newRecorded(r, "av1-l3t3")
		all, small, narrow := x.watcher(r, shards-1), x.watcher(r, shards-1), x.watcher(r, 0)
		sa := all.subscribe(x.pub, plane.Subscription{})
		ss := small.subscribe(x.pub, plane.Subscription{Width: 400})
		sn := narrow.subscribe(x.pub, plane.Subscription{})
		x.play(r, 0, 4*time.Second)
		for _, p := range []*peer{all, small, narrow} {
			p.clear()
		}
		for i := range 8 {
			narrow.rtcp(&prtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 150_000, SSRCs: []uint32{sn.SSRC}})
			x.play(r, time.Duration(8+i)*500*time.Millisecond, time.Duration(9+i)*500*time.Millisecond)
		}
		for _, w := range []struct {
			name   string
			p      *peer
			ssrc   uint32
			s, tmp uint8
			most   int
		}{{"all", all, sa.SSRC, 2, 2, 1 << 30}, {"small", small, ss.SSRC, 1, 2, 1 << 30}, {"narrow", narrow, sn.SSRC, 0, 0, 150_000}} {
			var d layer.Dependency
			var s, tmp uint8
			have, octets, n := map[uint16]bool{}, 0, 0
			got := w.p.rtpGot(w.ssrc)
			for i, q := range got {
				if i > 0 && q.SequenceNumber != got[i-1].SequenceNumber+1 {
					t.Fatalf("%d shards: %s: a gap", shards, w.name)
				}
				f, ok := d.Read(q.GetExtension(12))
				if !ok {
					continue // the first key frame is to come
				}
				if f.Has(layer.Key) {
					have, s, tmp, octets, n = map[uint16]bool{}, 0, 0, 0, 0
				}
				for k := range uint16(64) {
					if f.Refs>>k&1 != 0 && !have[f.Frame-1-k] {
						t.Fatalf("%d shards: %s: frame %d needs %d", shards, w.name, f.Frame, f.Frame-1-k)
					}
				}
				have[f.Frame] = true
				s, tmp = max(s, f.Spatial), max(tmp, f.Temporal)
				octets += len(q.Payload)
				n++
			}
			if n == 0 || s != w.s || tmp < w.tmp {
				t.Errorf("%d shards: %s is sent layers up to %d/%d in %d packets of %d", shards, w.name, s, tmp, n, len(got))
			}
		}
	}
}
