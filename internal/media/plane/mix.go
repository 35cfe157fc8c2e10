package plane

import "parley/internal/base/ids"

// Mixer makes streams out of streams: mixes audio, composes video, transcodes.
// It is an ordinary subscriber and publisher of the engine on an inside link
// (topologies rule CMB: "the mixer is a subscriber and a source of the SFM").
// Every call returns at once; safe for concurrent use. Implemented by mcu.
type Mixer interface {
	// Can tells whether outputs of this kind and codec can be made here. Errors:
	// 503 codec-missing, whose message names the packages to install.
	Can(Kind, Codec) error
	// Room tells all that may be mixed, replacing what was told before. The mixer
	// subscribes to what it needs by itself.
	Room(MixRoom)
	// Start makes an output, or changes one that has this Track. When Start has
	// returned without error the track is published and may be subscribed to.
	Start(MixOutput) error
	// Stop ends an output.
	Stop(conf ids.Conference, track ids.Track)
	// End forgets a conference.
	End(conf ids.Conference)
	// Stats of one output; false if unknown.
	Stats(track ids.Track) (MixStats, bool)
}

// MixRoom is what a mixer knows of a conference.
type MixRoom struct {
	Conf    ids.Conference
	Sources []MixSource // in order of joining
	// Speakers, loudest first, as the engine told them.
	Speakers []ids.Track
	CNAME    string // the mixer's own
}

// MixSource is a track that may be heard or seen.
type MixSource struct {
	Track  ids.Track
	Kind   Kind
	Source string // "camera", "microphone", "screen", "screenAudio"
	Device ids.Device
	SrcID  uint32 // conference-wide source id, for CSRC
	CNAME  string // alias of the origin
	Name   string // of the person, to be drawn on its tile
	Codec  Codec  // what it is sent with
	Level  bool   // it announces audio levels (RFC 6464)
	Muted  bool
	// Mixed tells that its packets carry CSRCs of their own (a cascaded mixer).
	Mixed bool
}

// MixOutput is one stream to be made.
type MixOutput struct {
	Conf  ids.Conference
	Track ids.Track // its name; unique on the node
	Kind  Kind
	Codec Codec // format, clock rate and channels; PT is the mixer's choice on its own link
	// Listener's own sources are left out; "" leaves out nobody.
	Listener ids.Device
	// Only makes it a translation of this one track (RFC 7667, section 3.2.1.3)
	// under the source's own SSRC.
	Only ids.Track
	// Anonymous leaves out CSRCs, levels and names of sources (RTCP-terminating
	// MCU, RFC 7667, section 3.9).
	Anonymous bool
	// Leg is the connection that is sent the output, if there is just one: the
	// mixer follows what that leg loses and can take. "" leaves it unknown.
	Leg ids.Connection

	// Video only.
	Layout        string // XCON name: "single-view", "dual-view-2x1", "quad-view", "multiple-3x3", "speaker", "picture-in-picture", "grid", "automatic"
	Pins          []ids.Track
	Width, Height int // of the composed picture; 0: 1280 × 720
	FPS           int // 0: 30
	Names         bool
	// Rate is the limit in bit/s, 0: the mixer's choice. Followed while running.
	Rate uint64
}

// MixStats is a snapshot of one output.
type MixStats struct {
	Contributors  []uint32 // source ids in the last slot
	Encoder       string   // implementation, "libopus", "gopus", "libvpx", …
	Shared        int      // outputs that share this encoder
	Bitrate       uint64
	FPS           float64
	Width, Height int
	Late          uint64 // audio slots that were not on time
	Keyframes     uint64
}
