package tracedraw_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/trace"
	"parley/internal/simnet"
	"parley/internal/simroom"
	"parley/internal/tracedraw"
)

var keep = flag.String("traces", "", "directory to keep the picture of the simulated call in")

// paper is a trace as a file would be.
type paper struct {
	start clock.Time
	b     []byte
}

func (p *paper) Emit(e trace.Event) {
	if p.b == nil {
		p.start = e.At
		p.b = trace.AppendHeader(nil, trace.Header{Name: "5f2c9d10a7b3e846", Version: "test", Start: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)})
	}
	p.b = trace.Append(p.b, p.start, e)
}

// call is what a receiver's leg goes through while its path shrinks to a tenth
// and comes back, and then loses packets.
func call(t testing.TB) []byte {
	t.Helper()
	const seed = 11
	r := simroom.New(seed)
	wire := simnet.Config{Delay: 10 * time.Millisecond}
	a := r.Join("a", wire, wire)
	a.Publish(simroom.Media{Speaks: true, Layers: simroom.Simulcast})
	b := r.Join("b", simnet.Config{Delay: 30 * time.Millisecond}, simnet.Config{Delay: 30 * time.Millisecond, Rate: 3_000_000, QueueTime: 200 * time.Millisecond})
	p := &paper{}
	r.TraceTo(b, p)
	b.Publish(simroom.Media{Speaks: true})
	b.Watch(a, simroom.Wants{})
	set := func(at time.Duration, rate int64, loss float64) {
		r.At(at, func() {
			c := b.Down.Config()
			c.Rate, c.Loss = rate, loss
			b.Down.Set(c)
		})
	}
	set(20*time.Second, 300_000, 0)
	set(40*time.Second, 3_000_000, 0)
	set(60*time.Second, 3_000_000, 0.05)
	r.Run(80 * time.Second)
	return p.b
}

func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestASimulatedCallIsDrawn: what the trace of a real engine holds is on the
// picture, in both forms.
func TestASimulatedCallIsDrawn(t *testing.T) {
	file := call(t)
	l, err := trace.Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	p := tracedraw.Picture(l)
	svg := p.SVG()
	wellFormed(t, svg)
	for _, want := range []string{"Connection 5f2c9d10a7b3e846, 2026-11-22 09:00:00 UTC", ">estimate<", ">acknowledged<", ">round trip<", ">out 1 audio<", ">out 2 video<", ">in 1 audio<", ">e2 t2<", "#cfe3f5", ">80 s<"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("no %q on the picture", want)
		}
	}
	var b bytes.Buffer
	if err := p.PNG(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(&b); err != nil {
		t.Fatal(err)
	}
	if *keep != "" {
		if err := os.WriteFile(filepath.Join(*keep, "connection.svg"), svg, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d events, %d bytes of trace, %d of picture", len(l.Events), len(file), len(svg))
}

// A later part of a long trace begins where it begins.
func TestALaterPartBeginsAtItsOwnTime(t *testing.T) {
	l := &trace.Log{Header: trace.Header{Name: "x", Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
	for i := range 100 {
		l.Events = append(l.Events, trace.Event{At: clock.Time(2*time.Hour) + clock.Time(i)*clock.Time(trace.Every), Data: trace.Sample{Target: 1e6}})
	}
	p := tracedraw.Picture(l)
	if !strings.Contains(p.Title, "from 2h0m0s on, 2026-01-01 02:00:00") || p.Span > 11*time.Second {
		t.Errorf("%q, %v", p.Title, p.Span)
	}
	if pt := p.Panels[0].Lines[0].Points[0]; pt.At != 0 {
		t.Errorf("%+v", pt)
	}
}

func TestLargeRoomsAndFreezes(t *testing.T) {
	l := &trace.Log{Cut: true, Unknown: 2}
	s := trace.Sample{}
	for i := range 60 {
		s.Out = append(s.Out, trace.SampleOut{Sub: "sub_" + string(rune('A'+i)), Kind: "video", Rate: uint64(i * 1000), State: "flowing"})
	}
	at := func(d time.Duration) clock.Time { return clock.Time(d) }
	for i := range 20 {
		l.Events = append(l.Events, trace.Event{At: at(time.Duration(i) * trace.Every), Data: s})
	}
	l.Events = append(l.Events,
		trace.Event{At: at(2 * time.Second), Data: trace.Frozen{Sub: s.Out[59].Sub, For: 900}},
		trace.Event{At: at(2 * time.Second), Data: trace.Frozen{Sub: "sub_never", For: 9e12}},
		trace.Event{At: at(2 * time.Second), Data: trace.Dropped{Count: 3}},
		trace.Event{At: at(2 * time.Second), Data: trace.Truncated{Next: "x-2.sqlog"}})
	p := tracedraw.Picture(l)
	wellFormed(t, p.SVG())
	notes := strings.Join(p.Notes, "\n")
	for _, want := range []string{"2 freezes", "3 events are missing", "2 events of kinds", "ends within a record", "streams that carried less"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes lack %q:\n%s", want, notes)
		}
	}
	rows := p.Panels[len(p.Panels)-1].Rows
	if len(rows) != 25 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows[1:] {
		for i := 1; i < len(r.Bars); i++ {
			if r.Bars[i].From < r.Bars[i-1].To {
				t.Errorf("%s: bars overlap: %+v", r.Label, r.Bars)
			}
		}
	}
}

func TestNothingIsAPictureToo(t *testing.T) {
	wellFormed(t, tracedraw.Picture(&trace.Log{}).SVG())
}

// FuzzPicture: whatever can be read can be drawn.
func FuzzPicture(f *testing.F) {
	head := trace.AppendHeader(nil, trace.Header{Name: "x"})
	f.Add(append(bytes.Clone(head), "\x1e{\"time\":100,\"name\":\"media:sample\",\"data\":{\"target\":5,\"out\":[{\"sub\":\"s\",\"kind\":\"video\",\"enc\":99,\"spatial\":-7,\"state\":\"flowing\"}]}}\n"...))
	f.Add(append(bytes.Clone(head), "\x1e{\"time\":100,\"name\":\"media:frozen\",\"data\":{\"sub\":\"<&\\u0000\",\"for_ms\":-1e300}}\n"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := trace.Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		p := tracedraw.Picture(l)
		wellFormed(t, p.SVG())
	})
}
