// Package wire is a cheap peer for the other end of a link: a controlling ICE
// agent, DTLS in either role, SRTP, one socket and one goroutine. The load
// generator and the tests are made of it, so that the server needs no second
// WebRTC stack to be tried.
//
// It is not a WebRTC implementation: no SDP, no jitter buffer, no feedback of
// its own; what to send and what to answer is its user's business.
//
// A server tells its peers apart by their address, so each peer has a socket of
// its own; a thousand of them cost a thousand small goroutines, parked in the
// runtime's poller. A [Loop] runs them on one goroutine and an epoll descriptor
// instead, for those who measure delays.
//
// Threading: all methods of a Peer are safe for concurrent use. Callbacks come
// from the peer's goroutine, without its lock.
package wire
