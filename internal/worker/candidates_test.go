package worker

import (
	"net/netip"
	"testing"
)

// TestCandidates follows RFC 8445, section 5.1.2.1 and RFC 6544, section 4.2.
func TestCandidates(t *testing.T) {
	adv := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	c := candidates(adv, 5000, 443)
	if len(c) != 4 {
		t.Fatalf("%d candidates", len(c))
	}
	seen := map[string]bool{}
	for i, x := range c {
		if x.Component != 1 || x.Typ != "host" || seen[x.Foundation] || x.Priority == 0 || x.Priority >= 1<<31 {
			t.Errorf("candidate %+v", x)
		}
		seen[x.Foundation] = true
		if i > 0 && x.Priority >= c[i-1].Priority {
			t.Errorf("priorities do not fall: %d then %d", c[i-1].Priority, x.Priority)
		}
	}
	if c[0].Priority != 126<<24|65535<<8|255 || c[0].Addr.String() != "192.0.2.1:5000" || c[0].TCPType != "" {
		t.Errorf("first: %+v", c[0])
	}
	if c[3].Transport != "tcp" || c[3].TCPType != "passive" || c[3].Addr.String() != "[2001:db8::1]:443" {
		t.Errorf("last: %+v", c[3])
	}
	if dir := c[2].Priority >> 21 & 7; dir != 4 {
		t.Errorf("direction preference %d, want 4 (passive)", dir)
	}
	if len(candidates(adv, 5000, 0)) != 2 {
		t.Error("TCP candidates without TCP")
	}
}
