// Package worker runs the media side: shards, each one goroutine that owns one
// UDP socket, the links of the peers placed on it, and one engine; and the
// [Pool], which spreads conferences over the shards and is the plane.Plane that
// the focus sees.
//
// It is not the place of any media decision (package engine) nor of any wire
// format (package transport and below): it moves packets between the two and
// keeps the books that tie names to numbers.
//
// Threading: Pool's methods may be called from anywhere; they hold one short
// lock that no packet ever waits for, and post commands to the owning shard's
// mailbox. Everything else runs on a shard's goroutine. No goroutine exists per
// peer, stream or timer; a DTLS handshake borrows one until it is done.
package worker
