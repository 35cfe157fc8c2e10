package whip

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/signaling/origin"
	"parley/internal/signaling/session"
)

// Draft is the version of WHEP implemented, for whoever prints versions.
const Draft = "draft-ietf-wish-whep-03"

// Config of a [Handler]. Zero numbers take defaults.
type Config struct {
	Port   control.Port
	Auth   session.Authenticator
	Origin origin.Policy
	AddrOf func(*http.Request) netip.Addr // nil: the connection's
	Log    *slog.Logger

	MaxBody      int64         // of an offer
	MaxResources int           // on this node
	Wait         time.Duration // for the focus
}

const (
	defaultBody      = 128 << 10
	defaultResources = 10000
	defaultWait      = 15 * time.Second
	maxFragment      = 16 << 10
	// retryAfter is what an overloaded node asks for, in seconds.
	retryAfter = "2"
)

// Media types (RFC 9725, section 4.2 and 4.3).
const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag"
)

// CORS: what a page may send and read.
const (
	corsMethods = "POST, PATCH, DELETE, OPTIONS"
	corsHeaders = "Authorization, Content-Type, If-Match"
	corsExpose  = "Location, ETag, Link, Accept-Patch, Retry-After, WWW-Authenticate"
)

// Handler serves /whip/ and /whep/.
type Handler struct {
	cfg    Config
	ending sync.WaitGroup // goroutines that tell the Port of an end

	mu        sync.Mutex // guards what follows
	resources map[string]*resource
	devices   map[deviceKey]*resource // publishers, so that a second one is refused
	stopped   bool
}

type deviceKey struct{ conf, subject, device string }

// NewHandler returns a handler; Port and Auth are required.
func NewHandler(cfg Config) *Handler {
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultBody
	}
	if cfg.MaxResources == 0 {
		cfg.MaxResources = defaultResources
	}
	if cfg.Wait == 0 {
		cfg.Wait = defaultWait
	}
	if cfg.AddrOf == nil {
		cfg.AddrOf = remoteAddr
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{cfg: cfg, resources: make(map[string]*resource), devices: make(map[deviceKey]*resource)}
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}

// target is what a path names.
type target struct {
	kind     string // "whip" or "whep"
	conf     string
	resource string // empty: the endpoint
}

func parsePath(p string) (target, bool) {
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] != "whip" && parts[0] != "whep" || !ids.ValidName(parts[1]) {
		return target{}, false
	}
	t := target{kind: parts[0], conf: parts[1]}
	if len(parts) == 3 {
		if t.resource = parts[2]; t.resource == "" || len(t.resource) > 64 {
			return target{}, false
		}
	}
	return t, true
}

type action func(h *Handler, w http.ResponseWriter, r *http.Request, t target) error

// Methods of the two kinds of address; all others are 405 (RFC 9725, section 4.2).
var (
	onEndpoint = map[string]action{http.MethodPost: (*Handler).post}
	onResource = map[string]action{http.MethodPatch: (*Handler).patch, http.MethodDelete: (*Handler).delete}
)

const (
	allowEndpoint = "POST, OPTIONS"
	allowResource = "PATCH, DELETE, OPTIONS"
)

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	known := h.cfg.Origin.CORS(w, r, corsMethods, corsHeaders, corsExpose)
	t, ok := parsePath(r.URL.Path)
	if !ok {
		writeError(w, errNotFound())
		return
	}
	methods, allow := onEndpoint, allowEndpoint
	if t.resource != "" {
		methods, allow = onResource, allowResource
	}
	if r.Method == http.MethodOptions {
		h.options(w, r, known, allow)
		return
	}
	f, ok := methods[r.Method]
	if !ok {
		w.Header().Set("Allow", allow)
		writeError(w, fault.New(405, "method-not-allowed", "Use %s", allow))
		return
	}
	if !h.cfg.Origin.Admits(r) {
		writeError(w, fault.New(403, "forbidden", "Origin not allowed"))
		return
	}
	if err := f(h, w, r, t); err != nil {
		writeError(w, fault.From(err))
	}
}

// options answers preflights of allowed origins only; a request that is no
// preflight learns what the address takes (RFC 9725, section 4.2).
func (h *Handler) options(w http.ResponseWriter, r *http.Request, known bool, allow string) {
	if r.Header.Get("Origin") != "" && !known {
		writeError(w, fault.New(403, "forbidden", "Origin not allowed"))
		return
	}
	w.Header().Set("Allow", allow)
	if allow == allowEndpoint {
		w.Header().Set("Accept-Post", typeSDP)
	} else {
		w.Header().Set("Accept-Patch", typeFragment)
	}
	w.WriteHeader(http.StatusNoContent)
}
