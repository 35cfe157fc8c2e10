package plane

import (
	"net/netip"
	"time"

	"parley/internal/base/ids"
)

// LinkStats is a snapshot of one link. Rates are of the last second or so.
type LinkStats struct {
	State                   string
	RemoteAddr              netip.AddrPort
	Profile                 string // SRTP protection profile
	RTT                     time.Duration
	PacketsIn, PacketsOut   uint64
	BytesIn, BytesOut       uint64
	LostIn                  uint64  // after repair, of what the peer sent
	FractionLostOut         float64 // 0..1, from the peer's last receiver reports
	NACKsIn, NACKsOut       uint64
	RTXOut                  uint64
	PLIsIn, PLIsOut         uint64
	EstimateIn, EstimateOut uint64 // bit/s
	Goodput                 uint64 // bit/s out
	RateIn                  uint64 // bit/s in

	// ScoreIn is the quality of what the peer sends as it reaches us, ScoreOut of
	// what it is sent as it should reach it: 1 to 5, 0 while nothing flows (see
	// package quality).
	ScoreIn, ScoreOut float64
	Control           RateControl
	In                []StreamIn  // by track and encoding
	Out               []StreamOut // by subscription
}

// RateControl is the state of the congestion control toward a peer.
type RateControl struct {
	// Feedback names what the peer tells about arrivals: "twcc", "ccfb", "remb",
	// empty while nothing came.
	Feedback     string
	Target       uint64        // bit/s
	Acked        uint64        // bit/s that arrived by the peer's feedback
	Wanted       uint64        // bit/s that the subscriptions would use
	Delay, Loss  uint64        // bit/s, the bounds by delay and by loss; 0: none
	REMB         uint64        // bit/s, the peer's own bound; 0: none
	Queue        time.Duration // standing in the path
	PathLoss     float64       // 0..1, taken for the path's own
	RecentLoss   float64       // 0..1
	Pacer        int           // bytes waiting to be sent
	PacerDelay   time.Duration // for how long the first of them
	Probing      bool
	Probes, Cuts uint64
	Limited      bool // sends less than it could (ALR)
	Contest      bool // another flow fills the queue
	Breaker      string
}

// StreamIn is one encoding of a track that the peer publishes.
type StreamIn struct {
	Track       ids.Track
	Kind        Kind
	Source      string
	MID, RID    string
	Encoding    int // 0 lowest
	SSRC        uint32
	Codec       string
	Live        bool   // packets come
	Bitrate     uint64 // bit/s
	Packets     uint64 // without repairs
	Expected    uint64
	Repaired    uint64 // came after a NACK
	LossBefore  float64
	LossAfter   float64 // 0..1 of the last second, before and after repair
	Jitter      time.Duration
	NACKs, PLIs uint64 // asked of the peer
	Keyframes   uint64
	Width       int // pixels, 0: not known
	Height      int
	FPS         float64 // 0: not known
	Score       float64
}

// StreamOut is one subscription of the peer.
type StreamOut struct {
	Sub                         ids.Subscription
	Track                       ids.Track // shown now
	Kind                        Kind
	Source                      string
	MID                         string
	SSRC                        uint32
	Codec                       string
	State                       string // "flowing", "waiting", "frozen", "paused", "held"
	Bitrate                     uint64 // bit/s
	Packets                     uint64
	Lost                        int64 // by the peer's reports
	FractionLost                float64
	RTT                         time.Duration
	Jitter                      time.Duration // by the peer's reports
	NACKs, RTX, PLIs            uint64        // asked for by the peer; resent
	Frames                      uint64
	FPS                         float64
	Encoding, Spatial, Temporal int // shown, 0 lowest, -1 none
	Width, Height               int // shown; 0: not known
	Encodings                   int // that the source has, also those at rest
	Best                        uint64
	WantWidth, WantHeight       int    // wanted, 0: any
	Freezes                     uint64 // gaps in what is sent
	Frozen                      time.Duration
	Switches                    uint64 // of layers
	Score                       float64
}
