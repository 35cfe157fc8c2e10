package testpeer

import (
	"fmt"
	"net/netip"
	"strings"
)

// Via returns an editor of answers that replaces every candidate by one at the
// given address, such as a simnet relay in front of the server.
func Via(relay netip.AddrPort) func(string) string {
	return func(sdp string) string {
		line := fmt.Sprintf("a=candidate:1 1 udp 2130706431 %s %d typ host\r\n", relay.Addr(), relay.Port())
		return editCandidates(sdp, line)
	}
}

// NoCandidates is an editor of offers that removes all candidates, so that a
// server that checks them (ours does not) cannot go round the relay.
func NoCandidates(sdp string) string { return editCandidates(sdp, "") }

// editCandidates puts line where the first candidate of each section was.
func editCandidates(sdp, line string) string {
	var out strings.Builder
	done := false
	for l := range strings.Lines(sdp) {
		switch {
		case strings.HasPrefix(l, "a=candidate:"):
			if !done {
				out.WriteString(line)
				done = true
			}
			continue
		case strings.HasPrefix(l, "m="):
			done = false
		}
		out.WriteString(l)
	}
	return out.String()
}
