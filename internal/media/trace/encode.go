package trace

import (
	"encoding/json"
	"strconv"
	"time"

	"parley/internal/base/clock"
)

const (
	// Every is the time between samples.
	Every = 100 * time.Millisecond
	// Suffix of trace files; qlog's for JSON text sequences.
	Suffix = ".sqlog"

	fileSchema  = "urn:ietf:params:qlog:file:sequential"
	format      = "application/qlog+json-seq"
	eventSchema = "urn:parley:qlog:events:media-1"
	namespace   = "media:"
	separator   = 0x1e // RFC 7464, section 2.2
)

// Header says what a file is about.
type Header struct {
	Name    string    // of the trace, as of the file
	Version string    // of the server
	Start   time.Time // when the connection was opened
}

type headerRecord struct {
	FileSchema string      `json:"file_schema"`
	Format     string      `json:"serialization_format"`
	Title      string      `json:"title"`
	Trace      headerTrace `json:"trace"`
}

type headerTrace struct {
	Vantage struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"vantage_point"`
	Schemas []string `json:"event_schemas"`
	Common  struct {
		TimeFormat string `json:"time_format"`
		Reference  struct {
			Clock string    `json:"clock_type"`
			Epoch string    `json:"epoch"`
			Wall  time.Time `json:"wall_clock_time"`
		} `json:"reference_time"`
	} `json:"common_fields"`
}

// AppendHeader appends the first record.
func AppendHeader(b []byte, h Header) []byte {
	r := headerRecord{FileSchema: fileSchema, Format: format, Title: h.Name}
	r.Trace.Vantage.Name, r.Trace.Vantage.Type = "parley "+h.Version, "server"
	r.Trace.Schemas = []string{eventSchema}
	r.Trace.Common.TimeFormat = "relative_to_epoch"
	r.Trace.Common.Reference.Clock, r.Trace.Common.Reference.Epoch = "monotonic", "unknown"
	r.Trace.Common.Reference.Wall = h.Start.UTC().Truncate(time.Millisecond)
	return appendJSON(append(b, separator), r)
}

// Append appends one event; times are in milliseconds since start.
func Append(b []byte, start clock.Time, e Event) []byte {
	b = append(b, separator)
	b = append(b, `{"time":`...)
	b = strconv.AppendFloat(b, float64(e.At.Sub(start).Microseconds())/1000, 'f', -1, 64)
	b = append(b, `,"name":"`+namespace...)
	b = append(b, e.Data.name()...)
	b = append(b, `","data":`...)
	b = appendJSON(b, e.Data)
	b[len(b)-1] = '}' // the line's end
	return append(b, '\n')
}

// appendJSON appends v and a newline.
func appendJSON(b []byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil { // our own types of numbers and strings
		panic("trace: " + err.Error())
	}
	return append(append(b, j...), '\n')
}
