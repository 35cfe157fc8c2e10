package node

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// tlsByte is the first byte of a TLS handshake record (RFC 8446, section 5.1).
const tlsByte = 0x16

// secureListener turns connections that begin with a TLS handshake into TLS
// ones and leaves the others plain, so that one port serves both (ADR 3).
type secureListener struct {
	net.Listener
	config *tls.Config // nil: plain only
}

// Accept implements net.Listener. It does not wait: the splitter below has
// seen the first byte already.
func (l *secureListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.config == nil {
		return c, err
	}
	if p, ok := c.(interface{ FirstByte() byte }); ok && p.FirstByte() == tlsByte {
		return tls.Server(c, l.config), nil
	}
	return c, nil
}

// connKey carries the connection's facts in a request's context.
type connKey struct{}

// connInfo is what a handler may need of the connection.
type connInfo struct {
	loopback bool
}

func withConn(ctx context.Context, c net.Conn) context.Context {
	a, err := netip.ParseAddrPort(c.LocalAddr().String())
	return context.WithValue(ctx, connKey{}, connInfo{loopback: err == nil && a.Addr().Unmap().IsLoopback()})
}

// requireTLS sends pages asked for in the clear off loopback to HTTPS, where a
// camera works, and refuses everything else there unless dev: a token must not
// cross a network in the clear.
func requireTLS(next http.Handler, dev bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, _ := r.Context().Value(connKey{}).(connInfo)
		page := r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/r/") && strings.Count(r.URL.Path, "/") == 2
		switch {
		case r.TLS != nil || info.loopback || r.URL.Path == "/healthz":
		case page && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			http.Redirect(w, r, "https://"+r.Host+r.URL.EscapedPath(), http.StatusTemporaryRedirect)
			return
		case !dev:
			http.Error(w, "use https", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
