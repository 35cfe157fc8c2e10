package rtp

import (
	"bytes"
	"testing"

	prtp "github.com/pion/rtp"
)

func marshal(t testing.TB, p *prtp.Packet) []byte {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseAgainstPion(t *testing.T) {
	p := &prtp.Packet{Header: prtp.Header{Version: 2, Marker: true, PayloadType: 96, SequenceNumber: 65500,
		Timestamp: 0xfffffff0, SSRC: 0xB0000001, CSRC: []uint32{7, 9}, Padding: true}, Payload: []byte{1, 2, 3}, PaddingSize: 5}
	_ = p.SetExtension(4, []byte("mid0"))
	_ = p.SetExtension(7, []byte{0x85})
	b := marshal(t, p)
	var h Header
	if d := Parse(b, &h); d != OK {
		t.Fatalf("refused: %d", d)
	}
	if !h.Marker || h.PayloadType != 96 || h.Seq != 65500 || h.TS != 0xfffffff0 || h.SSRC != 0xB0000001 || h.CSRC(b, 1) != 9 {
		t.Fatalf("fields: %+v", h)
	}
	if !bytes.Equal(b[h.PayloadOff:h.PayloadEnd], p.Payload) {
		t.Fatalf("payload % x", b[h.PayloadOff:h.PayloadEnd])
	}
	if d, ok := h.Ext(b, 4); !ok || string(d) != "mid0" {
		t.Fatalf("ext 4: %q %v", d, ok)
	}
	if d, ok := h.Ext(b, 7); !ok || d[0] != 0x85 {
		t.Fatalf("ext 7: %v %v", d, ok)
	}
	if _, ok := h.Ext(b, 5); ok {
		t.Fatal("ext 5 found")
	}
}

func TestParseRefuses(t *testing.T) {
	ok := marshal(t, &prtp.Packet{Header: prtp.Header{Version: 2, SSRC: 1}, Payload: []byte{1, 2}})
	mod := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(ok)) }
	for name, c := range map[string]struct {
		b    []byte
		want Drop
	}{
		"empty":        {nil, Short},
		"11 bytes":     {ok[:11], Short},
		"too long":     {make([]byte, 1501), TooLong},
		"version":      {mod(func(b []byte) []byte { b[0] = 0x40; return b }), BadVersion},
		"csrc":         {mod(func(b []byte) []byte { b[0] |= 15; return b }), BadCSRC},
		"ext short":    {mod(func(b []byte) []byte { b[0] |= 0x10; return b }), BadExtension},
		"ext overrun":  {mod(func(b []byte) []byte { b[0] |= 0x10; return append(b[:12], 0xBE, 0xDE, 0, 9, 0, 0, 0, 0) }), BadExtension},
		"padding 0":    {mod(func(b []byte) []byte { b[0] |= 0x20; b[13] = 0; return b }), BadPadding},
		"padding over": {mod(func(b []byte) []byte { b[0] |= 0x20; b[13] = 3; return b }), BadPadding},
		"all padding":  {mod(func(b []byte) []byte { b[0] |= 0x20; b[13] = 2; return b }), OK},
	} {
		var h Header
		if d := Parse(c.b, &h); d != c.want {
			t.Errorf("%s: %d, want %d", name, d, c.want)
		}
	}
}

func TestWriterAgainstPion(t *testing.T) {
	for _, two := range []bool{false, true} {
		buf := bytes.Repeat([]byte{0xEE}, MaxHeader)
		var w Writer
		w.Begin(buf, &Fields{Marker: true, PayloadType: 111, Seq: 9, TS: 8, SSRC: 7, CSRC: 6}, two)
		if !w.Add(3, []byte{1, 2, 3}) || w.Add(0, []byte{1}) {
			t.Fatal("add")
		}
		if long := w.Add(5, make([]byte, 40)); long != two {
			t.Fatalf("40 bytes fit: %v, two-byte %v", long, two)
		}
		n := w.End()
		var p prtp.Packet
		if err := p.Unmarshal(append(buf[:n:n], 0xAA)); err != nil {
			t.Fatal(err)
		}
		if p.PayloadType != 111 || !p.Marker || p.SequenceNumber != 9 || p.CSRC[0] != 6 || !bytes.Equal(p.GetExtension(3), []byte{1, 2, 3}) || len(p.Payload) != 1 {
			t.Fatalf("two=%v: %v", two, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	p := &prtp.Packet{Header: prtp.Header{Version: 2, SSRC: 1, CSRC: []uint32{1}}, Payload: []byte{1, 2}}
	_ = p.SetExtension(4, []byte("mid0"))
	f.Add(marshal(f, p))
	f.Add([]byte{0xb0, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0x00, 0, 1, 1, 9, 0, 0, 1})
	f.Add([]byte{0xa0, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Header
		if Parse(b, &h) != OK {
			return
		}
		if h.PayloadOff > h.PayloadEnd || int(h.PayloadEnd) > len(b) {
			t.Fatalf("offsets %+v of %d bytes", h, len(b))
		}
		for it := h.Exts(b); it.Next(); {
			if it.ID == 0 {
				t.Fatal("id 0")
			}
		}
		var q prtp.Header
		if n, err := q.Unmarshal(b); err == nil && (q.SSRC != h.SSRC || q.SequenceNumber != h.Seq || n != int(h.PayloadOff)) {
			t.Fatalf("pion disagrees: %+v against %+v", q, h)
		}
	})
}
