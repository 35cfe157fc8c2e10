// Package mcu makes streams out of streams: it mixes audio, composes video and
// transcodes (RFC 7667, sections 3.2.1.3, 3.6.1 and 3.9). Server implements
// plane.Mixer as an ordinary subscriber and publisher on one inside link per
// conference: serialised packets in, serialised packets out.
//
// It is not the decision who hears a mix (focus), nor signal processing
// (audiomix and the video packages), nor codecs (codec).
//
// Threading: Server may be called from any goroutine. Each conference has a
// room with one goroutine, which runs a slot every 20 ms; audio is mixed there
// and now, video works beside it and never holds it up. A link (the bookkeeping
// of the inside connection) has a lock of its own and no waiting under it.
package mcu
