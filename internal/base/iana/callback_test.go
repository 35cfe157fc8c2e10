package iana

import "testing"

func TestCheckCallback(t *testing.T) {
	for u, ok := range map[string]bool{
		"https://example.org/h": true, "http://example.org/h": false, "https://10.0.0.1/": false, "https://[::ffff:127.0.0.1]/": false,
		"https://169.254.169.254/latest": false, "https://u:p@example.org/": false, "ftp://example.org": false, "hook": false, "https://127.0.0.1/": false,
	} {
		if err := CheckCallback(u, false); (err == nil) != ok {
			t.Errorf("%s: %v", u, err)
		}
	}
	for u, ok := range map[string]bool{"http://127.0.0.1:1/": true, "http://localhost/": true, "http://10.0.0.1/": false, "http://example.org/": false} {
		if err := CheckCallback(u, true); (err == nil) != ok {
			t.Errorf("with loopback %s: %v", u, err)
		}
	}
}

func FuzzCheckCallback(f *testing.F) {
	for _, s := range []string{"https://example.org", "http://[::1]:1/", "https://0x7f.1/", ":", "https://%31"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { _ = CheckCallback(s, true) })
}
