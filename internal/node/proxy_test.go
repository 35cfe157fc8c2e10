package node

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"parley/api"
	"parley/internal/config"
)

// TestCapsBehindAProxy: with a trusted proxy in front, the cap on connections is
// one of each client, and nobody else can choose whose.
func TestCapsBehindAProxy(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		s := wholeServer(t, func(c *config.Server) {
			c.Limits.PerAddress, c.ProxyHeader = 2, "x-forwarded-for"
			if trusted {
				c.TrustedProxies = config.Prefixes{netip.MustParsePrefix("127.0.0.1/32")}
			}
		})
		dial := func(from string) int {
			ctx, cancel := context.WithTimeout(context.Background(), herdWait)
			defer cancel()
			conn, res, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.URL(), "http")+"/ws", &websocket.DialOptions{
				Subprotocols: []string{api.Subprotocol}, HTTPHeader: http.Header{"X-Forwarded-For": {from}},
			})
			if err != nil && res == nil {
				t.Fatal(err)
			}
			if err == nil {
				t.Cleanup(func() { _ = conn.CloseNow() })
			}
			return res.StatusCode
		}
		got := []int{dial("192.0.2.1"), dial("192.0.2.1"), dial("192.0.2.1"), dial("203.0.113.66, 192.0.2.1"), dial("192.0.2.2")}
		want := []int{101, 101, 429, 429, 101}
		if !trusted {
			want[4] = 429 // all are the proxy
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("trusted %v: answers %v, want %v", trusted, got, want)
				break
			}
		}
	}
}
