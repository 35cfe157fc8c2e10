package api

// TopologySet chooses how media flows: conference.setTopology. For owners and
// moderators, and for the house by service key.
const TopologySet = "conference.setTopology"

// Peer sessions beyond media.offer, media.answer and media.candidate.
const (
	MediaPeerState = "media.peerState" // how a session with another device goes, as its end sees it
	MediaPeerEnd   = "media.peerEnd"   // it is not needed any more
)

// Names of topologies (docs/topologies.md), for a conference and for one device.
const (
	TopologyAuto           = "auto" // two people directly, from the third on sfu
	TopologyMesh           = "mesh" // peers among themselves, up to four
	TopologyRelay          = "relay"
	TopologyTranslator     = "translator"
	TopologyMixer          = "mixer"
	TopologySwitch         = "switch"
	TopologySFU            = "sfu"
	TopologyVideoSwitching = "video-switching-mcu"
	TopologyTerminating    = "rtcp-terminating-mcu"
	TopologyMulticast      = "multicast"
	TopologyAsymmetric     = "asymmetric"
	TopologyHybrid         = "hybrid"
)

// MannerDirect is how a device's media flows when peers talk among themselves;
// the other manners of a device go by names of topologies: sfu, switch, mixer,
// translator, rtcp-terminating-mcu, video-switching-mcu, relay, asymmetric,
// multicast.
const MannerDirect = "direct"

// Topologies lists every name that may be chosen.
func Topologies() []string {
	return []string{
		TopologyAuto, TopologySFU, TopologyMesh, TopologyMixer, TopologySwitch, TopologyHybrid, TopologyTranslator,
		TopologyTerminating, TopologyMulticast, TopologyRelay, TopologyVideoSwitching, TopologyAsymmetric,
	}
}

// Caps is what a device can take, told when it joins.
type Caps struct {
	// Streams is how many streams of a kind it can receive at a time; 0: as many
	// as come. One that takes few gets a mix and slots.
	Streams int `json:"streams,omitempty"`
	// P2P: it can open sessions with other devices, and follows event
	// topology.changed. Without it a device is always served by the server.
	P2P bool `json:"p2p,omitempty"`
	// RelayOnly: its own addresses are told to nobody; only relayed candidates of
	// its are passed on.
	RelayOnly bool `json:"relayOnly,omitempty"`
	// Compose: in place of one picture after another it wants a composed one.
	Compose bool `json:"compose,omitempty"`
	// Group: it is a multicast group, of plain RTP; nobody else says so.
	Group bool `json:"group,omitempty"`
	// E2EE: it encrypts and decrypts media end to end by SFrame (RFC 9605).
	E2EE bool `json:"e2ee,omitempty"`
	// Codecs that it can take, as "opus", "VP8"; none: what its descriptions say.
	Codecs []string `json:"codecs,omitempty"`
}

// Cascade tells that a device is the focus of another conference (RFC 4575,
// section 5.6.5): who that is, and which foci lie behind it. A conference that
// finds itself there refuses with 482.
type Cascade struct {
	Focus string   `json:"focus"`          // URI or id of the conference behind the device
	Path  []string `json:"path,omitempty"` // further foci, nearest first; their number is the hop count
}

// SetTopologyParams of conference.setTopology. Without Part and Dev it is about
// the whole conference; with Part about a person's devices, with both about one.
// An empty Topology with Part takes the device's own choice away.
type SetTopologyParams struct {
	Topology         string `json:"topology"`
	AllowDiscouraged bool   `json:"allowDiscouraged,omitempty"`
	Part             string `json:"part,omitempty"`
	Dev              string `json:"dev,omitempty"`
}

// LegState is how media flows for one device: member "leg" of JoinResult, and
// the body of event topology.changed for the device's own session.
type LegState struct {
	Topology         string     `json:"topology"` // of the conference
	AllowDiscouraged bool       `json:"allowDiscouraged,omitempty"`
	Own              string     `json:"own,omitempty"` // the device's own, when it has one
	Manner           string     `json:"manner"`
	Reason           string     `json:"reason,omitempty"` // set, joined, left, caps, bandwidth, failed
	Peers            []PeerLink `json:"peers,omitempty"`  // with manner direct
	// ICEServers are for the sessions with Peers, with credentials for this person.
	ICEServers []ICEServer `json:"iceServers,omitempty"`
}

// PeerLink is one device to talk to directly. The one with Offer set sends the
// first media.offer with that peer; the other waits for it.
type PeerLink struct {
	Part  string `json:"part"`
	Dev   string `json:"dev"`
	Offer bool   `json:"offer,omitempty"`
}

// PeerStateParams of media.peerState and media.peerEnd.
type PeerStateParams struct {
	MS     string `json:"ms"`
	State  string `json:"state,omitempty"` // connected: media flows; failed; closed
	Reason string `json:"reason,omitempty"`
}

// MediaSlots is event media.slots: what a leg's slots show now.
type MediaSlots struct {
	MS    string      `json:"ms"`
	Slots []MediaSlot `json:"slots"`
}

// MediaSlot is one section that shows one source after another, or a mix.
type MediaSlot struct {
	MID    string `json:"mid"`
	Name   string `json:"name"`             // as in AnswerResult.Receive: mix:audio, mix:video, slot:1, ...
	Track  string `json:"track,omitempty"`  // source now; absent: none, or a mix
	User   string `json:"user,omitempty"`   // whose
	Device string `json:"device,omitempty"` //
}

// Topology is the body of GET and PUT /conferences/{uri}/topology.
type Topology struct {
	Topology         string      `json:"topology"`
	AllowDiscouraged bool        `json:"allowDiscouraged,omitempty"`
	Lacking          string      `json:"lacking,omitempty"` // what a mixer would need, when one is wanted and cannot be
	Devices          []LegManner `json:"devices,omitempty"` // of a running conference
}

// PutTopology is the body of PUT and PATCH of a topology.
type PutTopology struct {
	Topology         string `json:"topology"`
	AllowDiscouraged bool   `json:"allowDiscouraged,omitempty"`
}

// LegManner is how one device is served.
type LegManner struct {
	Part             string `json:"part"`
	User             string `json:"user"`
	Device           string `json:"device"`
	Topology         string `json:"topology,omitempty"` // its own choice
	AllowDiscouraged bool   `json:"allowDiscouraged,omitempty"`
	Manner           string `json:"manner"`
	Audio            string `json:"audio"` // none, each, slots, mix
	Video            string `json:"video"`
}
