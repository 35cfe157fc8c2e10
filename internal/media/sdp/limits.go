package sdp

import (
	"parley/internal/base/fault"
)

// Caps checked before parsing (docs: bad inputs, rule A21). Real offers of three
// hundred sections stay far below; a parser fed more only burns CPU.
const (
	MaxBytes    = 128 << 10
	MaxLines    = 8000
	MaxLine     = 4 << 10
	MaxSections = 256
)

// Caps on names that we echo and match on every packet. RFC 8843 and RFC 8852
// set none; the two-byte header extension would carry 255 bytes.
const (
	maxMID  = 32
	maxRID  = 32
	maxRIDs = 8 // per section; browsers stop at 3, conferencing rooms at 4
)

// bad is a description that is malformed; the message names the thing.
func bad(format string, a ...any) error { return fault.New(400, "bad-sdp", format, a...) }

// unacceptable is a well-formed description that asks for what the server does
// not do (RFC 3261, 488 "Not Acceptable Here").
func unacceptable(format string, a ...any) error { return fault.New(488, "bad-sdp", format, a...) }

// checkCaps refuses input that must not reach the parser.
func checkCaps(b []byte) error {
	if len(b) == 0 {
		return bad("empty description")
	}
	if len(b) > MaxBytes {
		return bad("description over %d bytes", MaxBytes)
	}
	lines, sections, start := 0, 0, 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && b[i] != '\n' {
			// A control byte could smuggle a line break into a value we echo.
			if c := b[i]; c < 0x20 && c != '\t' && (c != '\r' || i+1 < len(b) && b[i+1] != '\n') || c == 0x7f {
				return bad("control byte %#02x in line %d", c, lines+1)
			}
			continue
		}
		if i == len(b) && start == i {
			break
		}
		lines++
		if i-start > MaxLine {
			return bad("line %d over %d bytes", lines, MaxLine)
		}
		if lines > MaxLines {
			return bad("over %d lines", MaxLines)
		}
		if i-start >= 2 && b[start] == 'm' && b[start+1] == '=' {
			if sections++; sections > MaxSections {
				return bad("over %d m-lines", MaxSections)
			}
		}
		start = i + 1
	}
	return nil
}
