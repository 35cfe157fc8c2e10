package whip

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"parley/api"
	"parley/internal/base/fault"
)

// errNotFound is the one answer for a conference or resource that is not there,
// or not for this caller.
func errNotFound() *fault.Error { return fault.New(404, "not-found", "Not found") }

func errBusy() *fault.Error {
	e := fault.New(503, "overloaded", "Try again later")
	e.RetryAfter = 2 * time.Second
	return e
}

// status maps the code table of docs/protocol.md to HTTP; what is not listed
// stands for itself when HTTP has it.
var status = map[int]int{
	408: 503, 410: 404, 480: 404, 481: 404, 482: 409, 486: 503, 487: 503, 488: 422, 489: 400, 491: 409, 504: 503,
	505: 400, 600: 503, 603: 403, 607: 403,
}

func httpStatus(code int) int {
	if s, ok := status[code]; ok {
		return s
	}
	if code < 400 || code > 599 || http.StatusText(code) == "" {
		return http.StatusInternalServerError
	}
	return code
}

func writeError(w http.ResponseWriter, e *fault.Error) {
	code := httpStatus(e.Code)
	body := &api.Error{Code: code, Reason: e.Reason, Message: e.Message, RetryAfterMs: e.RetryAfter.Milliseconds()}
	h := w.Header()
	switch code {
	case http.StatusNotFound: // never a word more or less than the others
		nf := errNotFound()
		body = &api.Error{Code: nf.Code, Reason: nf.Reason, Message: nf.Message}
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="parley"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", retryAfter)
		if e.RetryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
		}
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}
