package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"time"

	"parley/internal/base/clock"
)

const (
	// maxRecord bounds one record, maxEvents and maxBytes a file: what we write
	// ends below all of them, and a stranger's file must not take all memory.
	maxRecord = 1 << 20
	maxEvents = 2_000_000
	// MaxBytes of a trace that is read.
	MaxBytes = 256 << 20
)

// limited is the end of what is read.
type limited struct {
	r         io.Reader
	left, all int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("larger than %d MiB", l.all>>20)
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}

// Log is a trace that was read.
type Log struct {
	Header  Header
	Events  []Event // At counts from the start of the connection
	Unknown int     // events of other kinds, left out
	Cut     bool    // the last record is not whole: the writer was killed
}

// Span is the time from the start to the last event.
func (l *Log) Span() time.Duration {
	if len(l.Events) == 0 {
		return 0
	}
	return time.Duration(l.Events[len(l.Events)-1].At)
}

// Errors of files that are no traces.
var (
	ErrEmpty  = errors.New("the file is empty")
	ErrFormat = errors.New("not a trace of parley: its first record is not a qlog header with our events")
)

// kinds makes an empty value for each event's name.
var kinds = func() map[string]reflect.Type {
	m := map[string]reflect.Type{}
	for _, d := range []Data{Opened{}, Configured{}, Ready{}, Closed{}, Stopped{}, Sample{}, Switched{}, Keyframe{}, Frozen{}, Cut{}, Probe{},
		Breaker{}, Dropped{}, Truncated{}} {
		m[d.name()] = reflect.TypeOf(d)
	}
	return m
}()

// Read reads a whole trace. Events of kinds that this version does not know are
// counted and left out; anything else that is wrong is an error that names the
// record, but for a last one that is not whole.
func Read(r io.Reader) (*Log, error) { return read(r, MaxBytes) }

func read(r io.Reader, most int64) (*Log, error) {
	sc := bufio.NewScanner(&limited{r, most + 1, most})
	sc.Buffer(make([]byte, 0, 64<<10), maxRecord)
	l := &Log{}
	var bad error // of the record before: forgiven at the end of the file
	n := 0
	for sc.Scan() {
		line := bytes.Trim(sc.Bytes(), "\x1e \t\r")
		if len(line) == 0 {
			continue
		}
		n++
		switch {
		case bad != nil:
			return nil, bad
		case n == 1:
			if err := l.header(line); err != nil {
				return nil, err
			}
		case len(l.Events) == maxEvents:
			return nil, fmt.Errorf("more than %d events", maxEvents)
		default:
			if err := l.event(line); err != nil {
				bad = fmt.Errorf("record %d: %w", n, err)
			}
		}
	}
	if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("record %d is longer than %d bytes", n+1, maxRecord)
	} else if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, ErrEmpty
	}
	var syntax *json.SyntaxError
	if bad != nil && !errors.As(bad, &syntax) {
		return nil, bad
	}
	l.Cut = bad != nil
	return l, nil
}

func (l *Log) header(line []byte) error {
	var h headerRecord
	if json.Unmarshal(line, &h) != nil || h.FileSchema != fileSchema || len(h.Trace.Schemas) == 0 {
		return ErrFormat
	}
	if s := h.Trace.Schemas[0]; s != eventSchema {
		return fmt.Errorf("events are of schema %q, this version reads %s", clip(s), eventSchema)
	}
	l.Header = Header{Name: h.Title, Version: strings.TrimPrefix(h.Trace.Vantage.Name, "parley "), Start: h.Trace.Common.Reference.Wall}
	return nil
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

func (l *Log) event(line []byte) error {
	var e struct {
		Time *float64        `json:"time"`
		Name string          `json:"name"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	const longest = 366 * 24 * 3600 * 1000 // ms; keeps the sum within range
	if e.Time == nil || math.IsNaN(*e.Time) || *e.Time < 0 || *e.Time > longest {
		return errors.New("no time, or one that cannot be")
	}
	at := clock.Time(*e.Time * float64(time.Millisecond))
	if n := len(l.Events); n > 0 && at < l.Events[n-1].At {
		return errors.New("its time lies before that of the record before")
	}
	name, ours := strings.CutPrefix(e.Name, namespace)
	t := kinds[name]
	if !ours || t == nil {
		l.Unknown++
		return nil
	}
	v := reflect.New(t)
	if len(e.Data) > 0 {
		if err := json.Unmarshal(e.Data, v.Interface()); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	l.Events = append(l.Events, Event{At: at, Data: v.Elem().Interface().(Data)})
	return nil
}
