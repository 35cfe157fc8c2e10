// Package strictjson refuses the JSON texts on which two readers may disagree:
// duplicate names, lone surrogates, NUL, numbers out of range, deep nesting.
// encoding/json accepts all of these, and a gateway that judges one reading
// while a client acts on the other is a hole (duplicate names carried forged
// identities past other servers). It only looks; decoding stays with
// encoding/json. Pure functions, no state between calls.
package strictjson

import (
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest. Our own messages use six;
// each level costs a reader a stack frame, so the number is kept small.
const MaxDepth = 32

// maxNames bounds the names of one object: beyond it the duplicate check would
// be the most expensive part of reading a hostile frame.
const maxNames = 4096

// Refusals. They hold no client bytes, so that they may be logged and sent.
var (
	ErrSyntax    = errors.New("malformed JSON")
	ErrDepth     = errors.New("nested too deeply")
	ErrDuplicate = errors.New("duplicate name in object")
	ErrNames     = errors.New("too many names in object")
	ErrNUL       = errors.New("NUL in string")
	ErrSurrogate = errors.New("lone surrogate in string")
	ErrNumber    = errors.New("number out of range")
	ErrUTF8      = errors.New("invalid UTF-8")
)

// Check reports the first reason to refuse b, which must hold exactly one JSON
// value (RFC 8259) inside the narrower profile of I-JSON (RFC 7493, section 2).
func Check(b []byte) error {
	if !utf8.Valid(b) {
		return ErrUTF8
	}
	s := scanner{b: b}
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.i != len(b) {
		return ErrSyntax
	}
	return nil
}

type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// next skips space and returns the byte there, 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.i >= len(s.b) {
		return 0
	}
	return s.b[s.i]
}

func (s *scanner) value(depth int) error {
	switch c := s.next(); {
	case c == '{':
		return s.object(depth + 1)
	case c == '[':
		return s.array(depth + 1)
	case c == '"':
		return s.skipString()
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return ErrSyntax
}

func (s *scanner) literal(word string) error {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return ErrSyntax
	}
	s.i += len(word)
	return nil
}

func (s *scanner) object(depth int) error {
	if depth > MaxDepth {
		return ErrDepth
	}
	s.i++
	if s.next() == '}' {
		s.i++
		return nil
	}
	var names names
	for {
		if s.next() != '"' {
			return ErrSyntax
		}
		start := s.i
		if err := s.skipString(); err != nil {
			return err
		}
		if err := names.add(s.b[start:s.i]); err != nil {
			return err
		}
		if s.next() != ':' {
			return ErrSyntax
		}
		s.i++
		if err := s.value(depth); err != nil {
			return err
		}
		if done, err := s.more('}'); done || err != nil {
			return err
		}
	}
}

func (s *scanner) array(depth int) error {
	if depth > MaxDepth {
		return ErrDepth
	}
	s.i++
	if s.next() == ']' {
		s.i++
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		if done, err := s.more(']'); done || err != nil {
			return err
		}
	}
}

// more consumes a comma, or the closing byte and reports true.
func (s *scanner) more(end byte) (bool, error) {
	switch s.next() {
	case ',':
		s.i++
		return false, nil
	case end:
		s.i++
		return true, nil
	}
	return false, ErrSyntax
}

// number checks the grammar of RFC 8259, section 6, and that the value fits:
// an integer in 64 bits, anything else in a float64.
func (s *scanner) number() error {
	start, integer := s.i, true
	if s.peek() == '-' {
		s.i++
	}
	switch lead := s.peek(); {
	case lead == '0':
		s.i++
	case !s.digits():
		return ErrSyntax
	}
	if s.peek() == '.' {
		integer = false
		s.i++
		if !s.digits() {
			return ErrSyntax
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		integer = false
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return ErrSyntax
		}
	}
	return inRange(string(s.b[start:s.i]), integer)
}

func inRange(text string, integer bool) error {
	if len(text) > 64 { // no honest number needs more
		return ErrNumber
	}
	if integer {
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			return nil
		}
		if _, err := strconv.ParseUint(text, 10, 64); err == nil {
			return nil
		}
		return ErrNumber
	}
	if f, err := strconv.ParseFloat(text, 64); err != nil || math.IsInf(f, 0) {
		return ErrNumber
	}
	return nil
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

// skipString passes over the string at s.i and refuses what I-JSON forbids.
func (s *scanner) skipString() error {
	s.i++
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			return nil
		case c < 0x20:
			if c == 0 {
				return ErrNUL
			}
			return ErrSyntax
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		}
	}
	return ErrSyntax
}

func (s *scanner) escape() error {
	c := s.peek()
	s.i++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
	default:
		return ErrSyntax
	}
	u, ok := s.hex4()
	switch {
	case !ok:
		return ErrSyntax
	case u == 0:
		return ErrNUL
	case u >= 0xDC00 && u <= 0xDFFF:
		return ErrSurrogate
	case u < 0xD800 || u > 0xDFFF:
		return nil
	}
	if s.peek() != '\\' {
		return ErrSurrogate
	}
	s.i++
	if s.peek() != 'u' {
		return ErrSurrogate
	}
	s.i++
	low, ok := s.hex4()
	if !ok {
		return ErrSyntax
	}
	if low < 0xDC00 || low > 0xDFFF {
		return ErrSurrogate
	}
	return nil
}

func (s *scanner) hex4() (uint16, bool) {
	if len(s.b)-s.i < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(s.b[s.i:s.i+4]), 16, 16)
	if err != nil {
		return 0, false
	}
	s.i += 4
	return uint16(v), true
}
