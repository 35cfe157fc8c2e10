// Package turn is the embedded TURN server (RFC 8656): people whose devices cannot
// reach one another send media through it, still encrypted end to end. The protocol
// is pion/turn's; this package decides who may allocate (short-lived credentials
// bound to a session), how much (allocations of a user, permissions, ports), and
// above all where to: addresses of special ranges and this machine's own ports are
// refused before and behind the protocol, so that the relay is no way in.
//
// It is not the media server: what it relays it cannot read, and it counts no RTP.
//
// Threading: [New] binds sockets, [Server.Run] serves until its context ends. All
// methods may be called from any goroutine.
package turn
