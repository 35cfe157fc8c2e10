package rtp

import (
	"testing"
	"time"
)

// press feeds the packets of one key: its updates and three ends.
func press(k *Keypad, ssrc, ts uint32, code uint8, ticks uint16, ends int) (got []Press) {
	h := Header{SSRC: ssrc, TS: ts}
	feed := func(e Event) {
		if p, ok := k.Packet(&h, e.Append(nil), 8000); ok {
			got = append(got, p)
		}
	}
	for d := uint16(160); d < ticks; d += 160 {
		feed(Event{Code: code, Duration: d})
	}
	for range ends {
		feed(Event{Code: code, Duration: ticks, End: true})
	}
	return got
}

// TestKeypadOnceAKey: three ends are one press; the same key again, with a
// timestamp of its own, is another.
func TestKeypadOnceAKey(t *testing.T) {
	var k Keypad
	if got := press(&k, 1, 1000, 5, 800, 3); len(got) != 1 || got[0] != (Press{'5', 100 * time.Millisecond}) {
		t.Errorf("%+v", got)
	}
	if got := press(&k, 1, 1000, 5, 800, 3); len(got) != 0 {
		t.Errorf("told again: %+v", got)
	}
	if got := press(&k, 1, 3000, 5, 1600, 1); len(got) != 1 || got[0].Duration != 200*time.Millisecond {
		t.Errorf("%+v", got)
	}
	if got := press(&k, 1, 1500, 7, 800, 3); len(got) != 0 {
		t.Errorf("a late key: %+v", got)
	}
}

// TestKeypadLostEnds: with all ends lost the next key, or time, ends it.
func TestKeypadLostEnds(t *testing.T) {
	var k Keypad
	if got := press(&k, 1, 1000, 1, 800, 0); len(got) != 0 || !k.Open() {
		t.Errorf("%+v", got)
	}
	if got := press(&k, 1, 5000, 2, 800, 3); len(got) != 2 || got[0].Key != '1' || got[1].Key != '2' {
		t.Errorf("%+v", got)
	}
	press(&k, 1, 9000, 11, 800, 0)
	if p, ok := k.Flush(); !ok || p.Key != '#' {
		t.Errorf("%+v %v", p, ok)
	}
	if _, ok := k.Flush(); ok {
		t.Error("twice")
	}
}

// TestKeypadLongKey: beyond 65535 ticks an event goes on in another segment.
func TestKeypadLongKey(t *testing.T) {
	var k Keypad
	h := Header{SSRC: 1, TS: 100}
	if _, ok := k.Packet(&h, Event{Code: 3, Duration: 0xffff}.Append(nil), 8000); ok {
		t.Error("told too soon")
	}
	h.TS += 0xffff
	p, ok := k.Packet(&h, Event{Code: 3, Duration: 800, End: true}.Append(nil), 8000)
	if want := time.Duration(0xffff+800) * time.Second / 8000; !ok || p.Duration != want {
		t.Errorf("%+v, not %v", p, want)
	}
}

// TestKeypadAnotherSSRC: a phone may change it at any time.
func TestKeypadAnotherSSRC(t *testing.T) {
	var k Keypad
	press(&k, 1, 50000, 1, 800, 3)
	if got := press(&k, 2, 100, 2, 800, 3); len(got) != 1 || got[0].Key != '2' {
		t.Errorf("%+v", got)
	}
}

func TestKeyNames(t *testing.T) {
	for code := range uint8(17) {
		key, ok := Key(code)
		back, ok2 := KeyCode(key)
		if !ok || !ok2 || back != code {
			t.Errorf("%d %c %d", code, key, back)
		}
	}
	if _, ok := Key(17); ok {
		t.Error("17 is no key")
	}
	if c, ok := KeyCode('d'); !ok || c != 15 {
		t.Error("d")
	}
	if _, ok := KeyCode('x'); ok {
		t.Error("x")
	}
}

func FuzzKeypad(f *testing.F) {
	f.Add([]byte{5, 0x8a, 3, 0x20}, uint32(1), uint32(8000))
	f.Fuzz(func(t *testing.T, b []byte, ts, clock uint32) {
		var k Keypad
		h := Header{SSRC: 1, TS: ts}
		for range 3 {
			if p, ok := k.Packet(&h, b, clock); ok && (p.Duration < 0 || p.Duration > maxPress) {
				t.Errorf("%+v", p)
			}
			h.TS += 0xffff
		}
		k.Flush()
	})
}
