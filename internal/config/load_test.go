package config

import (
	"fmt"
	"net/netip"
	"testing"
)

// FuzzParse: any bytes give a file or an error, never a crash.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "http: :1\n", "a: [1, 2]\nb:\n  c: d\n", "- x", "a: &x 1\nb: *x\n", "\x00", "? a\n: b\n", "a: |\n  text\n", "a: {b: c}\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		file, err := Parse("x.yaml", b)
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v, err %v", file, err)
		}
	})
}

func TestEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", ":443": ":443", "[::1]:9": "[::1]:9", "localhost:8": "127.0.0.1:8",
		"": "", "::1:9": "error", "host:1": "error", "1.2.3.4": "error", "1.2.3.4:": "error", ":-1": "error", ":+1": "error",
	} {
		var e Endpoint
		got := "error"
		if err := e.UnmarshalText([]byte(in)); err == nil {
			got = e.String()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestTrustedProxiesAreNetworks(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1": "[127.0.0.1/32]", "10.1.2.3/16, 2001:db8::/32": "[10.1.0.0/16 2001:db8::/32]", "": "[]",
		"0.0.0.0/0": "", "::/0": "", "proxy.example": "", "10.0.0.0/33": "", "::ffff:10.0.0.0/104": "",
	} {
		var p Prefixes
		err := p.UnmarshalText([]byte(in))
		if (err != nil) != (want == "") || err == nil && fmt.Sprint([]netip.Prefix(p)) != want {
			t.Errorf("%q: %v, %v", in, p, err)
		}
	}
}
