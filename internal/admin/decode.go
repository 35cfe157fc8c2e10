package admin

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/strictjson"
)

// Caps of this surface (reliability rules, section 7).
const (
	maxBody      = 1 << 20
	maxPage      = 1000
	defaultPage  = 50
	maxTitle     = 256
	maxQuery     = 128
	maxBanned    = 1000
	maxSubject   = 256
	decodeSilent = "The body could not be read"
)

// bad is a 400 that names the member.
func bad(field, why string) error {
	e := fault.New(400, "bad-request", "%s: %s", field, why)
	e.Data = map[string]any{"field": field}
	return e
}

// body reads the request's JSON object, at most maxBody bytes of it.
func (c *call) body() ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fault.New(413, "too-large", "The body is over %d bytes", maxBody)
	case err != nil:
		return nil, fault.New(400, "bad-request", decodeSilent)
	case len(b) == 0:
		return []byte("{}"), nil
	}
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, fault.New(415, "unsupported-media", "Content-Type must be application/json")
	}
	if err := strictjson.Check(b); err != nil {
		return nil, fault.New(400, "bad-request", "%s", err.Error())
	}
	return b, nil
}

// decode reads the body into v; what is wrong is named.
func (c *call) decode(v any) error {
	b, err := c.body()
	if err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		field := wrong.Field
		if field == "" {
			field = "(body)"
		}
		return bad(field, "must be "+kindOf(wrong))
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name, uerr := strconv.Unquote(strings.TrimPrefix(err.Error(), "json: unknown field "))
		if uerr != nil || len(name) > 64 {
			name = "(unknown)"
		}
		return bad(name, "unknown member")
	}
	return fault.New(400, "bad-request", "The body is not a JSON object")
}

func kindOf(e *json.UnmarshalTypeError) string {
	switch k := e.Type.Kind().String(); k {
	case "bool":
		return "true or false"
	case "int", "uint64", "uint32", "float64":
		return "a number"
	case "slice":
		return "a list"
	case "struct", "map":
		return "an object"
	default:
		return "a " + k
	}
}

// number reads a query member in [0, …); absent is def.
func (c *call) number(field string, def int) (int, error) {
	s := c.r.URL.Query().Get(field)
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0, bad(field, "must be a number from 0 to 2147483647")
	}
	return int(n), nil
}

// states reads ?state=active,scheduled.
func (c *call) states() ([]string, error) {
	q := c.r.URL.Query().Get("state")
	if q == "" {
		return nil, nil
	}
	list := strings.Split(q, ",")
	for _, s := range list {
		if s != api.StateActive && s != api.StateEnded && s != api.StateScheduled {
			return nil, bad("state", "must be of scheduled, active, ended")
		}
	}
	return list, nil
}

// ifMatch reads the revision of an If-Match header (RFC 9110, section 13.1.1);
// nil: none, or "*".
func (c *call) ifMatch() (*uint64, error) {
	s := c.r.Header.Get("If-Match")
	if s == "" || s == "*" {
		return nil, nil
	}
	n, err := strconv.ParseUint(strings.Trim(s, `"`), 10, 64)
	if err != nil {
		return nil, bad("If-Match", "must be an ETag of this API")
	}
	return &n, nil
}

func checkText(field, s string) error {
	if len(s) > maxTitle || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return bad(field, "must be at most 256 bytes of text")
	}
	return nil
}

// checkTimes judges a schedule. The end must come after the start.
func checkTimes(starts, ends string) error {
	var at [2]time.Time
	for i, s := range []string{starts, ends} {
		if s == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || len(s) > 64 {
			return bad([]string{"startsAt", "endsAt"}[i], "must be a time like 2031-05-06T09:00:00Z")
		}
		at[i] = t
	}
	if starts != "" && ends != "" && !at[1].After(at[0]) {
		return bad("endsAt", "must come after startsAt")
	}
	return nil
}

func checkBanned(list []string) error {
	if len(list) > maxBanned || slices.ContainsFunc(list, func(s string) bool {
		return s == "" || len(s) > maxSubject || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
	}) {
		return bad("banned", "must be at most 1000 identities")
	}
	return nil
}
