package web

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/signaling/origin"
	"parley/internal/signaling/session"
)

// Config of [Handler].
type Config struct {
	Pages http.Handler // "/", "/r/{conference}", "/assets/…": the built client
	WS    http.Handler // "/ws"
	WHIP  http.Handler // "/whip/", "/whep/"
	Auth  http.Handler // "/auth/…"
	API   http.Handler // "/api/…": administration; nil: none

	Authn  session.Authenticator
	Status func(conference string) (api.RoomStatus, bool) // false: not active
	Origin origin.Policy
	AddrOf func(*http.Request) netip.Addr // nil: the connection's

	AuthMode  string // what clients are told: "none" or "token"
	Dev       bool
	Version   string
	Languages []string
	// PublicURL is where clients reach this server ("https://meet.example.org");
	// empty: as they did.
	PublicURL string
}

// Handler returns the whole surface.
func Handler(cfg Config) http.Handler {
	if cfg.AddrOf == nil {
		cfg.AddrOf = remoteAddr
	}
	if cfg.Languages == nil {
		cfg.Languages = []string{"en", "zh-CN"}
	}
	s := &surface{cfg: cfg}
	mux := http.NewServeMux()
	mux.Handle("/ws", cfg.WS)
	mux.Handle("/whip/", cfg.WHIP)
	mux.Handle("/whep/", cfg.WHIP)
	mux.Handle("/auth/", s.cors(cfg.Auth, "POST, OPTIONS"))
	if cfg.API != nil {
		mux.Handle("/api/", s.cors(cfg.API, "GET, POST, PATCH, DELETE, OPTIONS"))
	}
	mux.Handle("/r/{conference}/status", s.cors(getOnly(s.status), "GET, OPTIONS"))
	mux.Handle("/config.json", getOnly(s.config))
	mux.Handle("/", cfg.Pages)
	return headers(mux)
}

type surface struct{ cfg Config }

// headers are for every answer; pages replace them by stricter ones. What is
// not a page may do nothing in a browser.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer") // room addresses are invitations
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self)")
		next.ServeHTTP(w, r)
	})
}

// getOnly refuses other methods.
func getOnly(f http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		f(w, r)
	})
}

// cors lets pages of listed origins use an address that takes no cookies.
func (s *surface) cors(next http.Handler, methods string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := s.cfg.Origin.CORS(w, r, methods, "Authorization, Content-Type, If-Match", "ETag, Location, Retry-After, WWW-Authenticate")
		if r.Method == http.MethodOptions {
			if r.Header.Get("Origin") != "" && !known {
				http.Error(w, "origin not allowed", http.StatusForbidden)
				return
			}
			w.Header().Set("Allow", methods)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// clientConfig answers GET /config.json; nothing in it is secret.
type clientConfig struct {
	Dev       bool     `json:"dev"`
	Auth      string   `json:"auth"`
	Languages []string `json:"languages"`
	Version   string   `json:"version"`
	WSURL     string   `json:"wsUrl"`
	Protocols []int    `json:"versions"`
}

func (s *surface) config(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, &clientConfig{
		Dev: s.cfg.Dev, Auth: s.cfg.AuthMode, Languages: s.cfg.Languages, Version: s.cfg.Version,
		WSURL: s.wsURL(r), Protocols: []int{session.Version},
	})
}

// roomStatus answers GET /r/{conference}/status. The part about the room is
// there only for those who may know; without it every name looks alike.
type roomStatus struct {
	Active    *bool  `json:"active,omitempty"`
	Locked    *bool  `json:"locked,omitempty"`
	Title     string `json:"title,omitempty"`
	UserCount *int   `json:"userCount,omitempty"`
	E2EE      bool   `json:"e2ee,omitempty"`
	Auth      string `json:"auth"`
	WSURL     string `json:"wsUrl"`
	Versions  []int  `json:"versions"`
}

func (s *surface) status(w http.ResponseWriter, r *http.Request) {
	out := roomStatus{Auth: s.cfg.AuthMode, WSURL: s.wsURL(r), Versions: []int{session.Version}}
	conf := r.PathValue("conference")
	if !ids.ValidName(conf) {
		writeError(w, fault.New(404, "not-found", "Not found"))
		return
	}
	allowed, err := s.mayKnow(r, conf)
	if err != nil {
		writeError(w, fault.From(err))
		return
	}
	if allowed {
		st, active := api.RoomStatus{}, false
		if s.cfg.Status != nil {
			st, active = s.cfg.Status(conf)
		}
		active = active && st.Active
		out.Active, out.Locked, out.Title, out.UserCount = &active, &st.Locked, st.Title, &st.UserCount
		out.E2EE = active && st.E2EE
	}
	writeJSON(w, http.StatusOK, &out)
}

// mayKnow judges the caller. No token is no mistake here; a wrong one is.
func (s *surface) mayKnow(r *http.Request, conf string) (bool, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if token == "" || !strings.EqualFold(scheme, "Bearer") {
		return s.cfg.Dev, nil
	}
	by, err := s.cfg.Authn.Authenticate(token, "", s.cfg.AddrOf(r))
	if err != nil {
		return false, err
	}
	return by.Room == "" || by.Room == conf, nil
}

// wsURL is where the client opens its WebSocket.
func (s *surface) wsURL(r *http.Request) string {
	if u, err := url.Parse(s.cfg.PublicURL); err == nil && u.Host != "" {
		return wsScheme(u.Scheme == "https") + u.Host + "/ws"
	}
	return wsScheme(origin.Secure(r)) + r.Host + "/ws"
}

func wsScheme(secure bool) string {
	if secure {
		return "wss://"
	}
	return "ws://"
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}

func writeError(w http.ResponseWriter, e *fault.Error) {
	if e.Code == 401 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="parley"`)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	writeJSON(w, e.Code, &api.Error{Code: e.Code, Reason: e.Reason, Message: e.Message, RetryAfterMs: e.RetryAfter.Milliseconds()})
}
