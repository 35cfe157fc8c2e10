// Package fault is the one error type that crosses layers: a code and reason of
// docs/protocol.md (SIP/HTTP classes), so that every dialect maps it by one table.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Error is a refusal a client can act on.
type Error struct {
	Code       int           // 4xx, 5xx, 6xx of the code table
	Reason     string        // stable token, e.g. "bad-sdp"
	Message    string        // for people; never holds secrets or client bytes unescaped
	RetryAfter time.Duration // zero: none
	Data       map[string]any
	Err        error // cause, for logs only
}

// Error implements error.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%d %s", e.Code, e.Reason)
	}
	return fmt.Sprintf("%d %s: %s", e.Code, e.Reason, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error; the message is formatted as by fmt.
func New(code int, reason, format string, a ...any) *Error {
	return &Error{Code: code, Reason: reason, Message: fmt.Sprintf(format, a...)}
}

// From finds the *Error in err's chain, or wraps err as 500 "server-error"
// whose message says nothing about the inside. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: 500, Reason: "server-error", Message: "internal error", Err: err}
}
