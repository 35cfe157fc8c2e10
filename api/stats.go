package api

// Statistics of media (docs/statistics.md). Directions are the server's: in is
// what a client sends, out what it is sent. Rates are in bit/s of the last
// second or so, counters since the start of the connection, shares 0 to 1,
// scores 1 (bad) to 5 (excellent), 0 while there is nothing to judge.

// ConnectionStats are those of one connection. In lists, and to others than the
// administration, some members are left out.
type ConnectionStats struct {
	Remote          string      `json:"remote,omitempty"`
	Profile         string      `json:"profile,omitempty"` // SRTP protection profile
	RTTMs           float64     `json:"rttMs"`
	PacketsIn       uint64      `json:"packetsIn"`
	PacketsOut      uint64      `json:"packetsOut"`
	BytesIn         uint64      `json:"bytesIn"`
	BytesOut        uint64      `json:"bytesOut"`
	LostIn          uint64      `json:"lostIn"`          // after repair
	FractionLostOut float64     `json:"fractionLostOut"` // 0 to 1
	NACKsIn         uint64      `json:"nacksIn"`
	NACKsOut        uint64      `json:"nacksOut"`
	RTXOut          uint64      `json:"rtxOut"`
	PLIsIn          uint64      `json:"plisIn"`
	PLIsOut         uint64      `json:"plisOut"`
	EstimateIn      uint64      `json:"estimateIn"`  // bit/s
	EstimateOut     uint64      `json:"estimateOut"` // bit/s
	RateIn          uint64      `json:"rateIn"`      // bit/s
	Goodput         uint64      `json:"goodput"`     // bit/s out
	ScoreIn         float64     `json:"scoreIn"`
	ScoreOut        float64     `json:"scoreOut"`
	Control         *RateStats  `json:"control,omitempty"`
	In              []StreamIn  `json:"in,omitempty"`
	Out             []StreamOut `json:"out,omitempty"`
	Omitted         int         `json:"omitted,omitempty"` // streams left out for size
}

// RateStats is the congestion control toward a client.
type RateStats struct {
	Feedback   string  `json:"feedback,omitempty"` // twcc, ccfb, remb
	Target     uint64  `json:"target"`
	Acked      uint64  `json:"acked"`
	Wanted     uint64  `json:"wanted"`
	DelayBound uint64  `json:"delayBound,omitempty"`
	LossBound  uint64  `json:"lossBound,omitempty"`
	REMB       uint64  `json:"remb,omitempty"`
	QueueMs    float64 `json:"queueMs"`
	PathLoss   float64 `json:"pathLoss"`
	RecentLoss float64 `json:"recentLoss"`
	PacerBytes int     `json:"pacerBytes"`
	PacerMs    float64 `json:"pacerMs"`
	Probes     uint64  `json:"probes"`
	Cuts       uint64  `json:"cuts"`
	Probing    bool    `json:"probing,omitempty"`
	Limited    bool    `json:"limited,omitempty"` // sends less than it could
	Contest    bool    `json:"contest,omitempty"` // another flow fills the queue
	Breaker    string  `json:"breaker,omitempty"` // "open": streams are held back (RFC 8083)
}

// StreamIn is one encoding of a track that a client publishes.
type StreamIn struct {
	Track      string  `json:"track"`
	Kind       string  `json:"kind"`
	Source     string  `json:"source"`
	MID        string  `json:"mid,omitempty"`
	RID        string  `json:"rid,omitempty"`
	Encoding   int     `json:"encoding"` // 0 lowest
	Codec      string  `json:"codec,omitempty"`
	Live       bool    `json:"live"`
	Bitrate    uint64  `json:"bitrate"`
	Packets    uint64  `json:"packets"`
	Expected   uint64  `json:"expected"`
	Repaired   uint64  `json:"repaired"`
	LossBefore float64 `json:"lossBefore"` // of the last second, before repair
	Loss       float64 `json:"loss"`       // and after
	JitterMs   float64 `json:"jitterMs"`
	NACKs      uint64  `json:"nacks"`
	PLIs       uint64  `json:"plis"`
	Keyframes  uint64  `json:"keyframes,omitempty"`
	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	FPS        float64 `json:"fps,omitempty"`
	Score      float64 `json:"score"`
}

// StreamOut is one subscription of a client.
type StreamOut struct {
	Track      string  `json:"track"` // shown now
	Kind       string  `json:"kind"`
	Source     string  `json:"source"`
	MID        string  `json:"mid,omitempty"`
	Codec      string  `json:"codec,omitempty"`
	State      string  `json:"state"` // flowing, waiting, frozen, paused, held, idle
	Bitrate    uint64  `json:"bitrate"`
	Packets    uint64  `json:"packets"`
	Lost       int64   `json:"lost"`
	Loss       float64 `json:"loss"` // by the last report
	RTTMs      float64 `json:"rttMs"`
	JitterMs   float64 `json:"jitterMs"`
	NACKs      uint64  `json:"nacks"`
	RTX        uint64  `json:"rtx"`
	PLIs       uint64  `json:"plis"`
	Encoding   int     `json:"encoding"` // shown, 0 lowest, -1 none
	Spatial    int     `json:"spatial"`
	Temporal   int     `json:"temporal"`
	Encodings  int     `json:"encodings,omitempty"` // that the source has, also those at rest
	Best       uint64  `json:"best,omitempty"`      // bit/s of the best of them
	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	WantWidth  int     `json:"wantWidth,omitempty"`
	WantHeight int     `json:"wantHeight,omitempty"`
	FPS        float64 `json:"fps,omitempty"`
	Frames     uint64  `json:"frames,omitempty"`
	Freezes    uint64  `json:"freezes,omitempty"`
	FrozenMs   float64 `json:"frozenMs,omitempty"`
	Switches   uint64  `json:"switches,omitempty"`
	Score      float64 `json:"score"`
}

// ConnectionReport is one connection with its statistics and whose it is.
type ConnectionReport struct {
	Conn   string `json:"conn"`
	Part   string `json:"part"`
	User   string `json:"user"`
	Device string `json:"device"`
	Own    bool   `json:"own,omitempty"` // of the session that is told
	ConnectionStats
}

// Filter of a subscription to package stats.
type StatsFilter struct {
	// IntervalMs between notifications: 1000 to 60000, others are brought to the
	// nearest of these; 0: 2000.
	IntervalMs int `json:"intervalMs,omitempty"`
	// Scope is "own" (default), the connections of the session, or "all" of the
	// conference, for moderators.
	Scope string `json:"scope,omitempty"`
}

// StatsReport is the body of a notification of package stats.
type StatsReport struct {
	At          string             `json:"at"` // RFC 3339
	IntervalMs  int                `json:"intervalMs"`
	Scope       string             `json:"scope"` // what is told; less than asked for who is no moderator any more
	Connections []ConnectionReport `json:"connections"`
	Omitted     int                `json:"omitted,omitempty"` // connections left out for size
}

// ScoreCount is how many streams have a score of at least From and below From+1
// (5 belongs to 4).
type ScoreCount struct {
	From  int `json:"from"`
	Count int `json:"count"`
}

// Summary is what several connections come to.
type Summary struct {
	Connections int          `json:"connections"`
	RateIn      uint64       `json:"rateIn"`  // bit/s
	RateOut     uint64       `json:"rateOut"` // bit/s
	ScoreIn     float64      `json:"scoreIn"` // the worst
	ScoreOut    float64      `json:"scoreOut"`
	RTTMs       float64      `json:"rttMs"`   // the longest
	LossIn      float64      `json:"lossIn"`  // the most, of the last second and after repair
	LossOut     float64      `json:"lossOut"` // by reports
	Freezes     uint64       `json:"freezes"`
	Scores      []ScoreCount `json:"scores"` // of all streams in both directions
}

// ParticipantStatistics is one person's connections.
type ParticipantStatistics struct {
	Part        string             `json:"part"`
	User        string             `json:"user"`
	Summary     Summary            `json:"summary"`
	Connections []ConnectionReport `json:"connections"`
}

// ConferenceStatistics is a running conference at an instant: each person's
// summary, and the whole. Streams are in those of a person or a connection.
type ConferenceStatistics struct {
	Conf         string               `json:"conf"`
	At           string               `json:"at"`
	Summary      Summary              `json:"summary"`
	Participants []ParticipantSummary `json:"participants"`
}

// ParticipantSummary is one row of [ConferenceStatistics].
type ParticipantSummary struct {
	Part string `json:"part"`
	User string `json:"user"`
	Summary
}

// Traces says whether traces of connections are written (docs/statistics.md).
type Traces struct {
	On      bool   `json:"on"`
	Open    int    `json:"open"` // files being written
	Events  uint64 `json:"events"`
	Dropped uint64 `json:"dropped"`
	Refused uint64 `json:"refused"` // connections without a trace although they are on
}

// PutTraces switches traces on or off, for connections that are open and those
// to come.
type PutTraces struct {
	On bool `json:"on"`
}
