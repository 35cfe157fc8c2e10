package info

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// Format is one of the two forms of a document.
type Format uint8

// Formats.
const (
	JSON Format = iota
	XML
)

// Formats is how many there are.
const Formats = 2

// Encoded is a document on the wire, made once for all who get the same. Only
// the version, and what one is told about itself, are put in for each.
type Encoded struct {
	State            State
	head, body, tail []byte // the version goes between the first, Self before the last
	Format           Format
}

// What stands where the version goes. In both forms the first occurrence is
// the root's own: only entity and state come before it, and inside a string or
// an attribute the quotes would be escaped.
var versionMark = [Formats][]byte{JSON: []byte(`"version":4294967295`), XML: []byte(`version="4294967295"`)}

// Where the roster goes, by the same argument.
var usersMark = [Formats][]byte{JSON: []byte(`"users":{"state":"full"}`), XML: []byte(`<users state="full"></users>`)}

// The root's extension is the last thing in a document.
var (
	extMark = []byte(`"ext":{"` + ExtNamespace + `":{`)
	endMark = []byte(`</conference-info>`)
)

// Encode makes the wire form of a document of any state.
func Encode(d *Document, f Format) *Encoded {
	b := marshal(d, f)
	return cut(d.State, f, d.Ext != nil, b, 0)
}

// EncodeFull makes the wire form of a full document from one without a roster
// and encoded rows (see [EncodeRow]).
func EncodeFull(head *Document, rows func(yield func([]byte) bool), size int, f Format) *Encoded {
	c := *head
	c.State, c.Users = Full, &Users{State: Full}
	b := marshal(&c, f)
	before, after, _ := bytes.Cut(b, usersMark[f])
	out := make([]byte, 0, len(b)+size+16)
	out = append(out, before...)
	if f == XML {
		out = append(out, `<users state="full">`...)
		for r := range rows {
			out = append(out, r...)
		}
		out = append(out, `</users>`...)
	} else {
		out = append(out, `"users":{"state":"full","user":{`...)
		n := len(out)
		for r := range rows {
			if len(out) > n {
				out = append(out, ',')
			}
			out = append(out, r...)
		}
		out = append(out, `}}`...)
	}
	n := len(out)
	return cut(Full, f, head.Ext != nil, append(out, after...), n)
}

// EncodeRow makes the wire form of one row of a roster.
func EncodeRow(entity string, u *User, f Format) []byte {
	if f == XML {
		w := &writer{}
		w.user(entity, u)
		return w.b
	}
	key, _ := json.Marshal(entity) // a string
	return append(append(key, ':'), mustJSON(u)...)
}

func marshal(d *Document, f Format) []byte {
	c := *d
	c.Version = math.MaxUint32
	if f == XML {
		return AppendXML(nil, &c)
	}
	return mustJSON(&c)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // our own types: strings, numbers, booleans
		panic("info: document does not marshal: " + err.Error())
	}
	return b
}

// cut takes a document apart. The root's extension is looked for from the end
// of the roster on.
func cut(s State, f Format, ext bool, b []byte, from int) *Encoded {
	e := &Encoded{State: s, Format: f}
	e.head, e.body, _ = bytes.Cut(b, versionMark[f])
	if !ext {
		return e
	}
	at := bytes.LastIndex(b[from:], endMark)
	if f == JSON {
		at = bytes.LastIndex(b[from:], extMark) + len(extMark)
	}
	at += from - (len(b) - len(e.body))
	e.body, e.tail = e.body[:at:at], e.body[at:]
	return e
}

// Size is the length of the document but for what [Encoded.With] puts in.
func (e *Encoded) Size() int { return len(e.head) + len(e.body) + len(e.tail) }

// With returns the document for one subscriber; self may be nil.
func (e *Encoded) With(version uint32, self *Self) []byte {
	var own []byte
	if self != nil && e.tail != nil {
		own = e.overlay(self)
	}
	out := make([]byte, 0, e.Size()+len(own)+22)
	out = append(out, e.head...)
	if e.Format == XML {
		out = append(out, `version="`...)
		out = append(strconv.AppendUint(out, uint64(version), 10), '"')
	} else {
		out = append(out, `"version":`...)
		out = strconv.AppendUint(out, uint64(version), 10)
	}
	out = append(out, e.body...)
	out = append(out, own...)
	return append(out, e.tail...)
}

func (e *Encoded) overlay(self *Self) []byte {
	if e.Format == XML {
		w := &writer{}
		w.raw("<p:self>")
		w.members(*self)
		w.raw("</p:self>")
		return w.b
	}
	own := append([]byte(`"self":`), mustJSON(self)...)
	if e.tail[0] != '}' { // more members follow
		own = append(own, ',')
	}
	return own
}
