package ssm

import (
	"net/netip"
	"slices"
)

// Joint is one endpoint's part in a mesh that is a single RTP session (RFC 7667,
// section 3.4, "joint session"): what it sends, RTP and RTCP alike, goes to
// each peer as it is, so that all see one SSRC, one row of numbers, and each
// other's reports. The worst path sets the rate for all. Unlike in a group,
// addresses are filtered: only peers are heard.
type Joint struct {
	peers []netip.AddrPort
	// Foreign counts packets of strangers.
	Foreign uint64
}

// maxJoint bounds a mesh: each sends N−1 copies.
const maxJoint = 16

// NewJoint makes an endpoint of a mesh with these peers; too many are cut off.
func NewJoint(peers []netip.AddrPort) *Joint {
	return &Joint{peers: slices.Clone(peers[:min(len(peers), maxJoint-1)])}
}

// Send calls f once for each peer with the packet as it is; f must not keep it.
func (j *Joint) Send(b []byte, f func(to netip.AddrPort, b []byte)) {
	for _, p := range j.peers {
		f(p, b)
	}
}

// Takes reports whether a packet is of a peer.
func (j *Joint) Takes(from netip.AddrPort) bool {
	if slices.Contains(j.peers, from) {
		return true
	}
	j.Foreign++
	return false
}
