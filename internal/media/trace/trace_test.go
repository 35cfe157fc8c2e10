package trace_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/trace"
)

const start = clock.Time(5 * time.Second)

func whole() []trace.Event {
	at := func(ms int) clock.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	return []trace.Event{
		{At: at(0), Data: trace.Opened{}},
		{At: at(1), Data: trace.Configured{Rev: 2, Sections: []trace.Section{{Kind: "video", Send: true, Codecs: []string{"VP8"}}}}},
		{At: at(3), Data: trace.Ready{}},
		{At: at(100), Data: trace.Sample{Target: 1_000_000, Sent: 800_000, RTT: 20.5, NACKs: 3, Probing: true,
			Out: []trace.SampleOut{{Sub: "sub_1", Kind: "video", Rate: 700_000, Encoding: 2, State: "flowing"}},
			In:  []trace.SampleIn{{Track: "track_1", Kind: "audio", Rate: 30_000, Lost: 0.25}}}},
		{At: at(200), Data: trace.Switched{Sub: "sub_1", FromEncoding: 2, Encoding: 1}},
		{At: at(200), Data: trace.Keyframe{Sub: "sub_1", Count: 1}},
		{At: at(300), Data: trace.Frozen{Sub: "sub_1", For: 400}},
		{At: at(300), Data: trace.Cut{From: 2, To: 1}},
		{At: at(300), Data: trace.Probe{Total: 4}},
		{At: at(300), Data: trace.Breaker{Reason: "congestion"}},
		{At: at(400), Data: trace.Dropped{Count: 7}},
		{At: at(400), Data: trace.Truncated{Limit: 100}},
		{At: at(400), Data: trace.Stopped{}},
		{At: at(400), Data: trace.Closed{}},
	}
}

func encode(events []trace.Event) []byte {
	b := trace.AppendHeader(nil, trace.Header{Name: "0123456789abcdef", Version: "1.2", Start: time.UnixMilli(1_700_000_000_123)})
	for _, e := range events {
		b = trace.Append(b, start, e)
	}
	return b
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	l, err := trace.Read(bytes.NewReader(encode(whole())))
	if err != nil {
		t.Fatal(err)
	}
	if h := l.Header; h.Name != "0123456789abcdef" || h.Version != "1.2" || h.Start.UnixMilli() != 1_700_000_000_123 {
		t.Errorf("header %+v", h)
	}
	for i, want := range whole() {
		want.At -= start
		if got := l.Events[i]; !reflect.DeepEqual(got, want) {
			t.Errorf("event %d: %+v, want %+v", i, got, want)
		}
	}
	if l.Span() != 400*time.Millisecond || l.Cut || l.Unknown != 0 {
		t.Errorf("span %v, cut %v, unknown %d", l.Span(), l.Cut, l.Unknown)
	}
}

// RFC 7464, section 2.2: each record stands between RS and LF.
func TestRecordsAreTextSequences(t *testing.T) {
	for _, r := range bytes.SplitAfter(encode(whole()), []byte("\n")) {
		if len(r) > 0 && (r[0] != 0x1e || r[len(r)-1] != '\n' || bytes.Count(r, []byte{0x1e}) != 1) {
			t.Errorf("record %q", r)
		}
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	good := string(encode(whole()[:3]))
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "empty"},
		{"blank", "\n\n", "empty"},
		{"a picture", "\x89PNG\r\n\x1a\n", "not a trace"},
		{"other JSON", "{\"a\":1}\n", "not a trace"},
		{"another's qlog", strings.Replace(good, "media-1", "quic-12", 1), "schema"},
		{"garbage within", good + "\x1e{oops\n" + good, "record 5"},
		{"no time", good + "\x1e{\"name\":\"media:ready\"}\n", "no time"},
		{"time runs back", good + "\x1e{\"time\":0,\"name\":\"media:ready\"}\n", "before"},
		{"wrong type", good + "\x1e{\"time\":9,\"name\":\"media:sample\",\"data\":{\"target\":\"x\"}}\n", "media:sample"},
		{"too long", good + "\x1e" + strings.Repeat("x", 2<<20), "longer"},
	} {
		if _, err := trace.Read(strings.NewReader(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something with %q", c.name, err, c.want)
		}
	}
}

// endless is a header, then blanks and empty lines for ever.
type endless struct{ head []byte }

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.head)
	e.head = e.head[n:]
	for i := n; i < len(b); i++ {
		b[i] = ' '
	}
	b[len(b)-1] = '\n'
	return len(b), nil
}

func TestReadEndsSomewhere(t *testing.T) {
	if _, err := trace.ReadMost(&endless{encode(nil)}, 2<<20); err == nil || !strings.Contains(err.Error(), "larger than 2 MiB") {
		t.Errorf("%v", err)
	}
}

func TestReadForgivesAnUnfinishedEndAndStrangers(t *testing.T) {
	in := string(encode(whole()[:3])) + "\x1e{\"time\":9,\"name\":\"media:to_come\",\"data\":{}}\n\x1e{\"time\":10,\"na"
	l, err := trace.Read(strings.NewReader(in))
	if err != nil || !l.Cut || l.Unknown != 1 || len(l.Events) != 3 {
		t.Fatalf("%+v, %v", l, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(encode(whole()))
	f.Add([]byte("{}"))
	f.Add([]byte(strings.ReplaceAll(string(encode(whole()[:4])), "\x1e", "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := trace.Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		// What was read can be written and read again.
		out := trace.AppendHeader(nil, l.Header)
		for _, e := range l.Events {
			out = trace.Append(out, 0, e)
		}
		again, err := trace.Read(bytes.NewReader(out))
		if err != nil || len(again.Events) != len(l.Events) {
			t.Fatalf("%v: %d events of %d", err, len(again.Events), len(l.Events))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	e, buf := whole()[3], make([]byte, 0, 4096)
	for b.Loop() {
		buf = trace.Append(buf[:0], start, e)
	}
}
