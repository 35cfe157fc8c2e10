package model

import (
	"parley/api"
	"parley/internal/base/ids"
)

// Manner is how a device's media flows (docs/adr/0008).
type Manner string

// Manners of a leg.
const (
	Direct         Manner = api.MannerDirect // peers among themselves, the server carries nothing
	SFU            Manner = api.TopologySFU
	Switch         Manner = api.TopologySwitch
	Mixer          Manner = api.TopologyMixer
	Translator     Manner = api.TopologyTranslator
	Terminating    Manner = api.TopologyTerminating
	VideoSwitching Manner = api.TopologyVideoSwitching
	Relay          Manner = api.TopologyRelay
	Asymmetric     Manner = api.TopologyAsymmetric
	Multicast      Manner = api.TopologyMulticast
)

// Way is how one kind of media comes to a leg.
type Way string

// Ways of a kind.
const (
	WayNone  Way = "none"  // not from the server
	WayEach  Way = "each"  // every source by itself
	WaySlots Way = "slots" // one source after another
	WayMix   Way = "mix"   // all in one
)

// Leg is how a device is served: its manner and the way of each kind.
type Leg struct {
	Manner       Manner
	Audio, Video Way
}

// Way returns the way of a kind, "audio" or "video".
func (l Leg) Way(kind string) Way {
	if kind == "audio" {
		return l.Audio
	}
	return l.Video
}

// Anonymous reports whether the leg learns nothing of sources by RTP (RFC 7667,
// section 3.9).
func (l Leg) Anonymous() bool { return l.Manner == Terminating }

// Recipe is the name of the media side's recipe; empty: the usual one.
func (l Leg) Recipe() string {
	switch l.Manner {
	case VideoSwitching, Relay, Asymmetric:
		return string(l.Manner)
	}
	return ""
}

// Choice is a topology that was chosen; zero: none was.
type Choice struct {
	Topology         string
	AllowDiscouraged bool
}

// Supply is a device's part in the topology.
type Supply struct {
	Own   Choice // the device's own, empty: as the conference
	Caps  api.Caps
	Leg   Leg        // worked out by control
	Links []PeerLink // to be talked to directly, in order of coming
	Weak  bool       // what it can take is below the floor
	// Cascade: the device is another conference's focus.
	Cascade *api.Cascade
	// Group: a multicast group, which gets one mix or one switch for all.
	Group bool
}

// PeerLink is a device to be talked to directly.
type PeerLink struct {
	Part   ids.Participant
	Device ids.Device
	Load   uint64 // which start of it
	Offer  bool   // this side offers first
}

// Plain reports whether a device is reached by plain RTP, not by WebRTC.
func (d *Device) Plain() bool {
	return d.Group || d.Dialect == "rtp" || d.Dialect == "sip"
}
