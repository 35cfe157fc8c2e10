package session

import (
	"time"

	"parley/api"
	"parley/internal/base/fault"
)

// Refusals of the session itself; the rest of the code table is the focus's.
func errNoSession() *fault.Error {
	return fault.New(481, "no-session", "No such session; join again")
}

func errVersion() *fault.Error {
	return fault.New(505, "version", "No common protocol version")
}

// errOverloaded tells each client another time to come again, so that those
// refused together do not return together.
func errOverloaded() *fault.Error { return errLater(time.Second + jitter(4*time.Second)) }

func errLater(wait time.Duration) *fault.Error {
	e := fault.New(503, "overloaded", "Try again later")
	e.RetryAfter = wait
	return e
}

func errRate() *fault.Error {
	e := fault.New(429, "rate", "Too many messages")
	e.RetryAfter = time.Second
	return e
}

func errTooMany(what string) *fault.Error {
	e := fault.New(429, "too-many", "Too many %s", what)
	e.RetryAfter = time.Second
	return e
}

func errTimeout() *fault.Error   { return fault.New(408, "timeout", "No answer in time") }
func errCancelled() *fault.Error { return fault.New(487, "cancelled", "Cancelled on request") }
func errIDReuse() *fault.Error {
	return fault.New(409, "id-reuse", "The id was used for another request")
}

func badRequest(message string) *fault.Error { return fault.New(400, "bad-request", "%s", message) }
func tooLarge(message string) *fault.Error   { return fault.New(413, "too-large", "%s", message) }

// Wire returns the error as it stands in a response.
func Wire(e *fault.Error) *api.Error {
	return &api.Error{
		Code: e.Code, Reason: e.Reason, Message: e.Message, Data: e.Data,
		RetryAfterMs: e.RetryAfter.Milliseconds(),
	}
}

// CloseCode tells how a channel is closed when its hello was refused.
func CloseCode(e *fault.Error) int {
	if code, ok := closeCodes[e.Code]; ok {
		return code
	}
	return ClosePolicy
}

var closeCodes = map[int]int{
	401: CloseUnauthenticated,
	429: CloseRateLimited,
	481: CloseNoSession,
	503: CloseOverloaded,
	505: CloseVersion,
}
