package api

// TrackLayers is event track.layers for the session that publishes a track: how
// many of its encodings somebody wants. The others need not be sent until it is
// told again.
type TrackLayers struct {
	Track  string   `json:"track"`
	Layers int      `json:"layers"`         // from the lowest on; 0: all
	RIDs   []string `json:"rids,omitempty"` // their names (RFC 8851), where they have some
}

// MediaWithheld is event media.withheld for a receiver's session: all pictures
// that it subscribes to, which are not muted, and which it is not sent now. What
// is in no list any more comes again.
type MediaWithheld struct {
	MS     string          `json:"ms"`
	Tracks []WithheldTrack `json:"tracks"`
}

// WithheldTrack is one of them.
type WithheldTrack struct {
	Track string `json:"track"`
	Why   string `json:"why"` // last-n, bandwidth
}
