package trace

import (
	"parley/internal/base/clock"
)

// Sink takes the events of one connection. Emit is called by the shard's
// goroutine and must return at once; what it is given is not changed afterwards.
type Sink interface {
	Emit(e Event)
}

// Event is one thing that happened. Data is one of this package's types.
type Event struct {
	At   clock.Time
	Data Data
}

// Data is the content of an event.
type Data interface {
	// name is the event's name in the file, after the namespace.
	name() string
}

// Opened is the first event: the leg exists.
type Opened struct{}

// Configured tells what was negotiated.
type Configured struct {
	Rev      uint32    `json:"rev"`
	Sections []Section `json:"sections"`
}

// Section is one negotiated m-section, by its place.
type Section struct {
	Kind   string   `json:"kind"`
	Send   bool     `json:"send,omitempty"`
	Recv   bool     `json:"recv,omitempty"`
	Codecs []string `json:"codecs,omitempty"`
	Layers int      `json:"layers,omitempty"` // simulcast encodings received
}

// Ready tells that keys exist: from now on media flow.
type Ready struct{}

// Closed is the last event of a whole trace.
type Closed struct{}

// Stopped is the last event of a trace that was switched off while the
// connection lived on.
type Stopped struct{}

// Sample is the state of the leg, each [Every]. Rates are in bit/s and counts
// those since the sample before; zero fields are left out.
type Sample struct {
	Target     uint64      `json:"target,omitempty"`
	Wanted     uint64      `json:"wanted,omitempty"`
	Delay      uint64      `json:"delay_bound,omitempty"`
	Loss       uint64      `json:"loss_bound,omitempty"`
	REMB       uint64      `json:"remb,omitempty"`
	Acked      uint64      `json:"acked,omitempty"`
	Sent       uint64      `json:"sent,omitempty"`
	Received   uint64      `json:"received,omitempty"`
	RTT        float64     `json:"rtt_ms,omitempty"`
	Queue      float64     `json:"queue_ms,omitempty"` // standing in the path
	PathLoss   float64     `json:"path_loss,omitempty"`
	RecentLoss float64     `json:"recent_loss,omitempty"`
	Reported   float64     `json:"reported_loss,omitempty"` // by receiver reports
	Pacer      int         `json:"pacer_bytes,omitempty"`
	PacerWait  float64     `json:"pacer_ms,omitempty"`
	Feedbacks  uint64      `json:"feedbacks,omitempty"` // compounds the peer sent
	NACKs      uint64      `json:"nacks,omitempty"`     // numbers the peer asked for
	RTX        uint64      `json:"rtx,omitempty"`       // packets resent
	PLIs       uint64      `json:"plis,omitempty"`      // keyframes the peer asked for
	Asked      uint64      `json:"asked,omitempty"`     // numbers we asked for
	Probing    bool        `json:"probing,omitempty"`
	Limited    bool        `json:"limited,omitempty"` // sends less than it could
	Contest    bool        `json:"contest,omitempty"` // another flow fills the queue
	Out        []SampleOut `json:"out,omitempty"`
	In         []SampleIn  `json:"in,omitempty"`
}

// SampleOut is one stream that is sent.
type SampleOut struct {
	Sub      string `json:"sub"`
	Kind     string `json:"kind"`
	Rate     uint64 `json:"rate"`
	Encoding int8   `json:"enc"` // -1: nothing
	Spatial  int8   `json:"spatial"`
	Temporal int8   `json:"temporal"`
	State    string `json:"state"`
}

// SampleIn is one stream that is received.
type SampleIn struct {
	Track    string  `json:"track"`
	Kind     string  `json:"kind"`
	Encoding int     `json:"enc"`
	Rate     uint64  `json:"rate"`
	Lost     float64 `json:"lost,omitempty"` // 0..1 of the last second, after repair
	Jitter   float64 `json:"jitter_ms,omitempty"`
}

// Switched tells that another layer is sent.
type Switched struct {
	Sub          string `json:"sub"`
	FromEncoding int8   `json:"from_enc"`
	FromSpatial  int8   `json:"from_spatial"`
	FromTemporal int8   `json:"from_temporal"`
	Encoding     int8   `json:"enc"`
	Spatial      int8   `json:"spatial"`
	Temporal     int8   `json:"temporal"`
}

// Keyframe tells that keyframes passed to the peer since the last sample.
type Keyframe struct {
	Sub   string `json:"sub"`
	Count uint64 `json:"count"`
}

// Frozen tells that a gap in a stream's pictures has ended.
type Frozen struct {
	Sub string  `json:"sub"`
	For float64 `json:"for_ms"`
}

// Cut tells that the estimate was lowered for delay or loss.
type Cut struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Probe tells that probes began.
type Probe struct {
	Total uint64 `json:"total"` // since the start
}

// Breaker tells that a circuit breaker opened or closed (RFC 8083).
type Breaker struct {
	Sub    string `json:"sub,omitempty"`
	Reason string `json:"reason"` // empty: closed again
}

// Dropped tells that events are missing here, because the writer was behind.
type Dropped struct {
	Count uint64 `json:"count"`
}

// Truncated is the last event of a file that reached its size. Next is the name
// of the file that goes on, if one does.
type Truncated struct {
	Limit int64  `json:"limit"`
	Next  string `json:"next,omitempty"`
}

func (Opened) name() string     { return "opened" }
func (Configured) name() string { return "configured" }
func (Ready) name() string      { return "ready" }
func (Closed) name() string     { return "closed" }
func (Stopped) name() string    { return "stopped" }
func (Sample) name() string     { return "sample" }
func (Switched) name() string   { return "layer_switched" }
func (Keyframe) name() string   { return "keyframe" }
func (Frozen) name() string     { return "frozen" }
func (Cut) name() string        { return "estimate_cut" }
func (Probe) name() string      { return "probe" }
func (Breaker) name() string    { return "breaker" }
func (Dropped) name() string    { return "dropped" }
func (Truncated) name() string  { return "truncated" }
