package mcu

import (
	"log/slog"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// Slot is how often a room ticks.
const Slot = 20 * time.Millisecond

// Half is the audio or the video half of a conference's mixer. All methods are
// called from one goroutine, which for video is not the room's, so that sound
// waits for no picture, and return soon; work that takes longer than a millisecond
// goes to goroutines of the half's own. Close is called once, after the last
// other call; it waits for those goroutines.
type Half interface {
	// SetRoom tells all sources and speakers, of both kinds, replacing what was told.
	SetRoom(now clock.Time, room plane.MixRoom)
	// Start makes an output of the half's kind or changes one that has this Track
	// (layout, pins, size, rate; codec, SSRC and Only never change in place).
	Start(now clock.Time, out Output) error
	Stop(out ids.Track)
	// HandleRTP takes one serialised packet of a wanted source; it is borrowed.
	HandleRTP(now clock.Time, src ids.Track, packet []byte)
	// HandleSR takes a source's sender report: its wall clock beside its RTP clock.
	HandleSR(now clock.Time, src ids.Track, sr rtcp.SenderInfo)
	// Gone tells that a source sent BYE or is no longer subscribed to.
	Gone(now clock.Time, src ids.Track)
	// KeyframeWanted tells that a receiver of an output asked (PLI or FIR). Several
	// within one keyframe's time may be answered by one.
	KeyframeWanted(now clock.Time, out ids.Track)
	// SetRate limits an output to what its receivers can take (TMMBR, REMB), 0: no
	// limit but that of Output.Rate.
	SetRate(now clock.Time, out ids.Track, bps uint64)
	// SetLoss tells which share of an output's packets is lost, 0..1.
	SetLoss(now clock.Time, out ids.Track, fraction float64)
	// Tick runs every Slot; now is the instant the slot was due, never the later
	// instant at which it ran.
	Tick(now clock.Time)
	Stats(out ids.Track) (plane.MixStats, bool)
	Close()
}

// Output is a plane.MixOutput with what the room chose for it on its link.
// Codec.PT is set. With Only, SSRC is the source's.
type Output struct {
	plane.MixOutput
	SSRC uint32
	// Levels is the extension id of mixer levels (RFC 6465) on the inside link, 0: none.
	Levels uint8

	outlet *outlet // the room's own
}

// Want is a source that a half needs, and how large it will be shown.
type Want struct {
	Track         ids.Track
	Width, Height int // video: pixels of the largest tile, chooses the simulcast layer; 0: any
}

// Host is what a half may ask of its room. Safe from any goroutine, returns at
// once, never calls back into the half on the same stack.
type Host interface {
	// Emit sends serialised RTP of an output, in order, and copies it. All packets
	// carry one RTP timestamp, which is the media's instant at on the room's clock
	// (for audio the slot's due time, for video the picture's): sender reports are
	// made from it, so at must be as regular as the timestamps (check MIX-5).
	Emit(out ids.Track, at clock.Time, packets [][]byte)
	// NeedKeyframe asks a source for a keyframe (a PLI on the inside link; the
	// engine coalesces). Ask for loss or a new decoder, not for receivers' PLIs.
	NeedKeyframe(src ids.Track)
	// Want replaces the list of sources a half needs; the room subscribes and
	// unsubscribes. A source nobody shows should not be on it.
	Want(kind plane.Kind, list []Want)
	// Contributors tells who is in an output now (rule MIX-6). Not for anonymous ones.
	Contributors(out ids.Track, now []plane.Contributor)
	// Report tells something an operator should know (a loop, a codec that died).
	Report(event string, track ids.Track, detail string)
}

// HalfConfig is what a half is made with.
type HalfConfig struct {
	Conf ids.Conference
	Host Host
	Now  func() clock.Time
	Log  *slog.Logger
}

// NewHalf makes a half for one conference; the video side hands one to Config.
type NewHalf func(HalfConfig) Half

// Maker is one kind of media's share in the server: Can answers plane.Mixer.Can
// (nil or a 503 codec-missing that names the packages), New makes halves.
type Maker struct {
	Can func(plane.Codec) error
	New NewHalf
	// Close ends what halves share (decoder processes); may be nil.
	Close func()
}
