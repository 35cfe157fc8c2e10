package model

import "parley/internal/base/ids"

// PeerSession is an offer/answer history between two devices. The server
// relays its descriptions and candidates and knows nothing of what is in them.
type PeerSession struct {
	ID      ids.MediaSession
	A, B    *Device // A offered first
	Rev     uint32  // of the last completed negotiation
	State   Signalling
	Offerer *Device // whose offer is open; nil: none
	Meshed  bool    // called for by the topology, and ended by it
	Flows   [2]bool // A, B: that end says that media flows
}

// End tells which end a device is at: 0 for A, 1 for B.
func (s *PeerSession) End(d *Device) int {
	if d == s.A {
		return 0
	}
	return 1
}

// Other returns the device at the other end, or nil when d is at neither.
func (s *PeerSession) Other(d *Device) *Device {
	switch d {
	case s.A:
		return s.B
	case s.B:
		return s.A
	}
	return nil
}
