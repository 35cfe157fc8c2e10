package engine

import (
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
	"parley/internal/media/trace"
)

// Shard numbers a worker of this node, 0..n-1.
type Shard int

// Config is what an engine needs from outside once.
type Config struct {
	Shard    Shard
	Pool     *ring.Pool
	Anchor   clock.Anchor  // for NTP timestamps in sender reports
	Random32 func() uint32 // SSRCs, RTCP jitter; seeded in tests
}

// LegConfig opens a leg.
type LegConfig struct {
	Leg  graph.LegID
	Conf ids.Conference
	Conn ids.Connection
	// Trace takes the leg's trace; nil: there is none.
	Trace trace.Sink
}

// TrackConfig makes a track known on a shard. On its home shard (where the
// publisher's leg lives) Leg is set and the engine runs the Ingress; elsewhere
// Remote is true and packets arrive by HandleCross from shard Home.
type TrackConfig struct {
	ID     graph.TrackID
	Track  plane.Track
	Remote bool
	Home   Shard
	Leg    graph.LegID
	// Contributors of a mixed track, see SetContributors.
	Contributors []plane.Contributor
}

// SubConfig starts or changes a subscription of a leg of this shard. The track
// must be known here; for a slot, Candidates may change it later.
type SubConfig struct {
	Sub   plane.Subscription
	Track graph.TrackID
	Leg   graph.LegID
}

// Cross is a bounded message from one shard's engine to another's: packets of a
// track, or a request toward its publisher. Objects are pooled; HandleCross
// takes over the packets' references.
type Cross struct {
	To       Shard
	Track    graph.TrackID
	Packets  []graph.Packet // media; each Buf retained for the receiver
	Keyframe bool           // feedback: someone here needs a keyframe of Layer
	Layer    uint8
	Wants    bool // feedback: Want is what shard From wants
	Want     int8 // the highest encoding
	From     Shard

	Name ids.Track                // of the track: TrackIDs are used again
	Info *stream.Info             // the publisher's section, shared and read-only; nil: unchanged
	Ref  stream.TimeRef           // RTP clock of Layer from a sender report; At zero: none
	Gen  [stream.MaxLayers]uint16 // SSRC generation of each layer

	next *Cross // free list
	home *crossPool
}

// Out collects what a call produced; appended to by the engine, owned and
// emptied by the caller.
type Out struct {
	Batch  graph.Batch
	Cross  []*Cross
	Events []plane.Event
}

// API is the engine as the worker drives it, all calls from the shard's one
// goroutine, none blocks. It lives here as the contract between the two.
//
// A turn: HandleRTP/HandleRTCP/HandleCross for everything that arrived, then one
// Flush, which fans the gathered packets out receiver by receiver; then the
// worker sends Out.Batch and posts Out.Cross. Tick at the end of every turn (it is
// cheap when nothing is due, and any call may have brought the next instant
// forward) and when its last result is due.
type API interface {
	OpenLeg(now clock.Time, c LegConfig)
	ConfigureLeg(now clock.Time, leg graph.LegID, m plane.LegMedia)
	// SetLegReady opens the send side once SRTP keys exist.
	SetLegReady(now clock.Time, leg graph.LegID, out *Out)
	// CloseLeg sends BYE for everything this leg was sent and frees it; its tracks must be removed first.
	CloseLeg(now clock.Time, leg graph.LegID, out *Out)

	AddTrack(now clock.Time, t TrackConfig, out *Out)
	RemoveTrack(now clock.Time, t graph.TrackID, out *Out)
	MuteTrack(now clock.Time, t graph.TrackID, muted bool)
	// SetContributors tells who is in a mixed track.
	SetContributors(now clock.Time, t graph.TrackID, list []plane.Contributor, out *Out)
	// AddRemote / RemoveRemote tell a track's home engine which shards have subscribers.
	AddRemote(now clock.Time, t graph.TrackID, s Shard)
	RemoveRemote(now clock.Time, t graph.TrackID, s Shard)

	Subscribe(now clock.Time, s SubConfig, out *Out)
	Unsubscribe(now clock.Time, sub ids.Subscription, out *Out)

	// HandleRTP takes one decrypted packet; the engine retains buf if it keeps it.
	HandleRTP(now clock.Time, leg graph.LegID, buf *ring.Buf, out *Out)
	// HandleRTCP takes one decrypted compound, borrowed.
	HandleRTCP(now clock.Time, leg graph.LegID, compound []byte, out *Out)
	HandleCross(now clock.Time, c *Cross, out *Out)
	// Unfinished is asked before Flush: how many legs would now be sent a picture
	// only in part, because its last packet has not been handed in yet. Waiting a
	// little lets them have it as one run.
	Unfinished() (receivers int)
	Flush(now clock.Time, out *Out)
	Tick(now clock.Time, out *Out) clock.Time

	// LegStats adds what the engine knows of a leg, as of the last Tick.
	LegStats(leg graph.LegID, s *plane.LinkStats)
}
