package info

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a document from somebody else. A roster of 1,000 takes about
// 700 KiB; sidebars nest, and nobody needs more than a few levels.
const (
	MaxXML      = 2 << 20
	maxDepth    = 64
	maxSidebars = 4
)

// Reading is how a document is read.
type Reading struct {
	// LenientUsers takes users without state in a partial document as partial.
	// The RFC says full, which wipes the roster, but its own second example
	// means partial, and foreign foci were written after it (trap c).
	LenientUsers bool
}

// ParseXML reads an application/conference-info+xml document. Elements and
// attributes of foreign name spaces are ignored; a document type declaration,
// a row without its key and two rows with the same are refused.
func ParseXML(b []byte, how Reading) (*Document, error) {
	if len(b) > MaxXML {
		return nil, malformed("too large")
	}
	r := &reader{d: xml.NewDecoder(bytes.NewReader(b)), how: how}
	var doc *Document
	for {
		s, end, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case end && doc == nil:
			return nil, malformed("no root")
		case end:
			return doc, nil
		case doc != nil || s.Name != (xml.Name{Space: Namespace, Local: "conference-info"}):
			return nil, malformed("root")
		case !has(s, "entity") || !has(s, "version"):
			return nil, malformed("root without entity or version")
		}
		r.depth++
		if doc, err = r.conference(s, 0); err != nil {
			return nil, err
		}
		doc.Entity = attr(s, "entity")
	}
}

// malformed is the error of every refusal.
func malformed(what string) error { return fmt.Errorf("info: malformed document: %s", what) }

// reader walks the tokens of a document.
type reader struct {
	d     *xml.Decoder
	how   Reading
	depth int
	chars []byte // what next passed over
}

// next returns the start of the next element, or end at the end of the present
// one or of the document.
func (r *reader) next() (s xml.StartElement, end bool, err error) {
	for {
		tok, err := r.d.Token()
		if err != nil {
			if r.depth == 0 && errors.Is(err, io.EOF) {
				return s, true, nil
			}
			return s, false, malformed("not well-formed")
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if r.depth >= maxDepth {
				return s, false, malformed("too deep")
			}
			return tok, false, nil
		case xml.EndElement:
			r.depth--
			return s, true, nil
		case xml.CharData:
			r.chars = append(r.chars, tok...)
		case xml.Directive:
			return s, false, malformed("document type declaration")
		}
	}
}

// children calls do for each child of the present element; do must read the
// child to its end.
func (r *reader) children(do func(xml.StartElement) error) error {
	for {
		s, end, err := r.next()
		if err != nil || end {
			return err
		}
		r.depth++
		if err := do(s); err != nil {
			return err
		}
	}
}

// own calls do for each child of the document's name space and passes over
// all others but ours, which go to ext (a pointer to a struct, or nil).
func (r *reader) own(ext any, do func(name string, s xml.StartElement) error) error {
	return r.children(func(s xml.StartElement) error {
		switch {
		case s.Name.Space == Namespace:
			return do(s.Name.Local, s)
		case s.Name.Space == ExtNamespace && ext != nil:
			return r.member(ext, s)
		}
		return r.skip()
	})
}

// skip reads the present element to its end.
func (r *reader) skip() error {
	return r.children(func(xml.StartElement) error { return r.skip() })
}

// text reads the present element as text; children are passed over.
func (r *reader) text() (string, error) {
	r.chars = r.chars[:0]
	err := r.children(func(xml.StartElement) error {
		n := len(r.chars)
		err := r.skip()
		r.chars = r.chars[:n]
		return err
	})
	return string(r.chars), err
}

func (r *reader) into(dst *string) error {
	s, err := r.text()
	*dst = s
	return err
}

// token is text whose white space at the ends means nothing: URIs, enumerations.
func (r *reader) token(dst *string) error {
	s, err := r.text()
	*dst = strings.TrimSpace(s)
	return err
}

func (r *reader) words(dst *[]string) error {
	s, err := r.text()
	*dst = slices.Clip(strings.Fields(s))
	if len(*dst) == 0 {
		*dst = nil
	}
	return err
}

func (r *reader) number(dst **uint32) error {
	s, err := r.text()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	if err != nil {
		return malformed("number")
	}
	v := uint32(n)
	*dst = &v
	return nil
}

func (r *reader) boolean(dst **bool) error {
	s, err := r.text()
	if err != nil {
		return err
	}
	var v bool
	switch strings.TrimSpace(s) {
	case "true", "1":
		v = true
	case "false", "0":
	default:
		return malformed("boolean")
	}
	*dst = &v
	return nil
}

func has(s xml.StartElement, name string) bool {
	return slices.ContainsFunc(s.Attr, func(a xml.Attr) bool { return a.Name.Space == "" && a.Name.Local == name })
}

func attr(s xml.StartElement, name string) string {
	for _, a := range s.Attr {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// state reads the attribute; absent means full.
func state(s xml.StartElement) (State, error) {
	switch v := State(attr(s, "state")); v {
	case Full, Partial, Deleted:
		return v, nil
	case "":
		return Full, nil
	}
	return "", malformed("state")
}

// key reads the attribute that a row goes by (trap f).
func key(s xml.StartElement, name string) (string, error) {
	if v := attr(s, name); v != "" {
		return v, nil
	}
	return "", malformed(s.Name.Local + " without " + name)
}

// put adds a row under its key.
func put[T any](m *map[string]T, key string, v T) error {
	if _, ok := (*m)[key]; ok {
		return malformed("two rows with one key")
	}
	if *m == nil {
		*m = map[string]T{}
	}
	(*m)[key] = v
	return nil
}

// present returns an extension if anything is in it.
func present[T any](v T) *T {
	if reflect.ValueOf(v).IsZero() {
		return nil
	}
	return &v
}
