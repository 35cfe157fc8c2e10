package origin

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestA16_OriginsAdmitted(t *testing.T) {
	list := []string{"https://app.example.org"}
	for _, tc := range []struct {
		name   string
		policy Policy
		origin string
		want   bool
	}{
		{"no origin", Policy{Allowed: list}, "", true},
		{"own", Policy{Allowed: list}, "https://meet.example.net", true},
		{"listed", Policy{Allowed: list}, "https://app.example.org", true},
		{"listed, other case", Policy{Allowed: list}, "https://APP.example.org", true},
		{"other", Policy{Allowed: list}, "https://evil.example", false},
		{"prefix trick", Policy{Allowed: list}, "https://app.example.org.evil.example", false},
		{"scheme differs", Policy{Allowed: list}, "http://app.example.org", false},
		{"null", Policy{Allowed: list}, "null", false},
		{"no list", Policy{}, "https://any.example", true},
		{"dev foreign", Policy{Dev: true}, "https://evil.example", false},
		{"dev localhost", Policy{Dev: true}, "http://localhost:5173", true},
		{"dev loopback", Policy{Dev: true}, "http://[::1]:5173", true},
		{"dev trick", Policy{Dev: true}, "http://127.0.0.1.evil.example", false},
		{"garbage", Policy{Dev: true}, "http://%zz", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "https://meet.example.net/ws", nil)
			r.Header.Set("Origin", tc.origin)
			if got := tc.policy.Admits(r); got != tc.want {
				t.Fatalf("Admits(%q) = %v", tc.origin, got)
			}
		})
	}
}

func TestCORSOnlyForAllowed(t *testing.T) {
	p := Policy{Allowed: []string{"https://app.example.org"}}
	for origin, want := range map[string]string{
		"https://app.example.org": "https://app.example.org", "https://evil.example": "", "https://meet.example.net": "", "": "",
	} {
		r := httptest.NewRequest(http.MethodOptions, "https://meet.example.net/whip/x", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		p.CORS(w, r, "POST", "Authorization", "Location")
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%q: allow %q, want %q", origin, got, want)
		}
		if w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%q: credentials allowed", origin)
		}
	}
}
