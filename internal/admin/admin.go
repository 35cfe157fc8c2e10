package admin

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"parley/api"
	"parley/internal/auth"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/policy"
	"parley/internal/focus"
)

// Prefix is where the API lives.
const Prefix = "/api/v1"

// Conferences is the focus as this package uses it.
type Conferences interface {
	Attach(control.Caller, control.Sink)
	Do(c control.Caller, req *api.Request, reply func(*api.Response))
	Inspect(ctx context.Context, uri string, stats bool) (*focus.Snapshot, error)
	Amend(uri string, change func(d *api.Definition, exists bool) error) (api.Definition, uint64, error)
	Status(uri string) (focus.Status, bool)
	Phones
}

// Phones are the endpoints of plain RTP, as this package uses them.
type Phones interface {
	OpenRTP(ctx context.Context, uri string, q focus.RTPRequest) (api.RTPLeg, error)
	OfferRTP(ctx context.Context, uri, id string, sdp []byte) (api.RTPLeg, error)
	CloseRTP(ctx context.Context, uri, id string) error
	PressRTP(ctx context.Context, uri, id string, k api.RTPKeys) error
	RTP(ctx context.Context, uri, id string) (api.RTPLeg, error)
	RTPs(ctx context.Context, uri string) ([]api.RTPLeg, error)
}

// Authenticator checks tokens; [auth.Authenticator] is one.
type Authenticator interface {
	Authenticate(token, name string, addr netip.Addr) (control.Principal, error)
}

// Config of a [Handler]. All but AddrOf, Now, Log and Traces are required.
type Config struct {
	Conferences Conferences
	Definitions focus.Definitions
	Auth        Authenticator
	Policy      policy.Policy // of the server: what definitions are checked against
	AddrOf      func(*http.Request) netip.Addr
	Now         func() time.Time
	Log         *slog.Logger
	Traces      Traces // nil: there are none
}

// Handler serves the API. See [New].
type Handler struct {
	cfg    Config
	mux    *http.ServeMux
	locks  lockout
	caller control.Caller
}

// New returns a handler for everything below [Prefix].
func New(cfg Config) *Handler {
	if cfg.AddrOf == nil {
		cfg.AddrOf = func(r *http.Request) netip.Addr {
			ap, _ := netip.ParseAddrPort(r.RemoteAddr)
			return ap.Addr().Unmap()
		}
	}
	if cfg.Now == nil {
		start := time.Now()
		cfg.Now = func() time.Time { return start.Add(time.Since(start)) } // a step of the clock locks nobody out
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{cfg: cfg, mux: http.NewServeMux()}
	h.caller = control.Caller{Session: ids.NewSession(), Dialect: "api"}
	cfg.Conferences.Attach(h.caller, deaf{})
	for path, methods := range byPath() {
		h.mux.Handle(Prefix+path, h.path(methods))
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, fault.New(404, "not-found", "No such address"))
	})
	return h
}

// deaf is the sink of the API's session, which subscribes to nothing.
type deaf struct{}

func (deaf) Notify(*api.Notify)   {}
func (deaf) Message(*api.Message) {}
func (deaf) Goodbye(api.Goodbye)  {}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, r)
}

// byPath groups the table: a path answers 405 to methods it does not have.
func byPath() map[string]map[string]*route {
	out := map[string]map[string]*route{}
	for i := range routes {
		r := &routes[i]
		if out[r.path] == nil {
			out[r.path] = map[string]*route{}
		}
		out[r.path][r.method] = r
	}
	return out
}

func (h *Handler) path(methods map[string]*route) http.Handler {
	allow := make([]string, 0, len(methods))
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if methods[m] != nil {
			allow = append(allow, m)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rt := methods[r.Method]
		if rt == nil && r.Method == http.MethodHead {
			rt = methods[http.MethodGet]
		}
		if rt == nil {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			refuse(w, fault.New(405, "method-not-allowed", "Use %s", strings.Join(allow, " or ")))
			return
		}
		h.serve(w, r, rt)
	})
}

// call is one request on its way through a route.
type call struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	by     control.Principal
	uri    string // of the path; empty: none
	header http.Header
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, rt *route) {
	c := &call{h: h, w: w, r: r, uri: r.PathValue("uri"), header: w.Header()}
	if err := c.admit(rt); err != nil {
		refuse(w, fault.From(err))
		return
	}
	result, err := rt.run(c)
	if err != nil {
		fe := fault.From(err)
		if fe.Code == 500 {
			h.cfg.Log.Error("administration", "route", rt.method+" "+rt.path, "err", err)
		}
		refuse(w, fe)
		return
	}
	write(w, rt.code, result)
}

// admit checks who calls and what for. The order is that of what may be known:
// nothing about the path is told to those who may not ask.
func (c *call) admit(rt *route) error {
	if rt.public {
		return nil
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	switch {
	case !c.by.Service && c.by.Role != api.RoleOwner:
		return fault.New(403, "forbidden", "The token has not the role owner")
	case c.by.Room != "" && c.by.Room != c.uri:
		return fault.New(403, "forbidden", "The token is for another conference")
	case strings.Contains(rt.path, "{uri}") && !ids.ValidName(c.uri):
		return errNotFound()
	}
	c.by.Service = true // administration acts for the house, without having joined
	return nil
}

func (c *call) authenticate() error {
	addr := c.h.cfg.AddrOf(c.r)
	now := c.h.cfg.Now()
	if wait := c.h.locks.locked(addr, now); wait > 0 {
		e := fault.New(429, "too-many", "Too many wrong tokens from this address")
		e.RetryAfter = wait
		return e
	}
	token := auth.Bearer(c.r)
	if token == "" {
		return fault.New(401, "unauthenticated", "A valid token is needed")
	}
	by, err := c.h.cfg.Auth.Authenticate(token, "", addr)
	if err != nil {
		c.h.locks.failed(addr, now)
		return err
	}
	c.h.locks.passed(addr)
	c.by = by
	return nil
}

func errNotFound() error { return fault.New(404, "not-found", "No such conference or object") }

func write(w http.ResponseWriter, code int, v any) {
	if code == http.StatusNoContent {
		w.WriteHeader(code)
		return
	}
	if t, ok := v.(text); ok {
		w.Header().Set("Content-Type", t.kind)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, t.body)
		return
	}
	b, ok := v.(json.RawMessage)
	if !ok {
		var err error
		if b, err = json.Marshal(v); err != nil {
			refuse(w, fault.From(err))
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // the client is gone if this fails
}

// refuse maps codes of the protocol that HTTP has no status for to 409.
func refuse(w http.ResponseWriter, e *fault.Error) {
	status := e.Code
	if status >= 480 && status < 500 || status >= 600 {
		status = http.StatusConflict
	}
	if status == 401 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="parley"`)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	write(w, status, &api.Error{Code: e.Code, Reason: e.Reason, Message: e.Message, Data: e.Data, RetryAfterMs: e.RetryAfter.Milliseconds()})
}
