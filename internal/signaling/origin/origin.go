// Package origin judges the Origin header of requests from browsers. Our
// surfaces take no cookies, so a foreign page can do no more than any other
// program; the list is for owners who want it narrower, and CORS never opens
// anything by itself. Plain values, safe for concurrent use.
package origin

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Policy is which web origins may talk to this server.
type Policy struct {
	// Allowed are origins like "https://app.example.org". When set, only these
	// and the server's own may open a WebSocket.
	Allowed []string
	// Dev serves without tokens, so that a foreign page would get in: only the
	// server's own origin, loopback ones and Allowed are let in.
	Dev bool
}

// Admits reports whether a request may be served. A request without Origin is
// not from a page and passes.
func (p Policy) Admits(r *http.Request) bool {
	o := r.Header.Get("Origin")
	switch {
	case o == "" || p.own(r, o) || p.listed(o):
		return true
	case p.Dev:
		return loopback(o)
	}
	return len(p.Allowed) == 0
}

// CORS sets the response headers that let a page of an allowed foreign origin
// read the answer, and reports whether the origin is one (Fetch, section 3.3).
// Methods and headers are for preflights.
func (p Policy) CORS(w http.ResponseWriter, r *http.Request, methods, headers, expose string) bool {
	o := r.Header.Get("Origin")
	w.Header().Add("Vary", "Origin")
	if o == "" || !p.listed(o) && !(p.Dev && loopback(o)) {
		return o != "" && p.own(r, o)
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", o)
	h.Set("Access-Control-Expose-Headers", expose)
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", headers)
		h.Set("Access-Control-Max-Age", "600")
	}
	return true
}

func (p Policy) listed(o string) bool {
	return slices.ContainsFunc(p.Allowed, func(a string) bool {
		return strings.EqualFold(strings.TrimSuffix(a, "/"), o)
	})
}

func (p Policy) own(r *http.Request, o string) bool {
	u, err := url.Parse(o)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func loopback(o string) bool {
	u, err := url.Parse(o)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback()
}
