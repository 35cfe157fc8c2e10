// Package plain is the wire of RTP without WebRTC: port pairs (RFC 3550,
// section 11), where a session's packets may come from and go to, and
// multicast sockets.
//
// It is not a media engine and reads no payload; keys are package srtp's. What
// a session hears and sends is decided by the worker that owns it.
//
// Threading: [Range] is safe for concurrent use. [Path] is a pure value of one
// goroutine. A [Pair] has one reading goroutine per socket, which ends when it
// is closed: such sessions are few, bounded by the port range, and each has
// ports of its own, so they cannot share the workers' sockets.
package plain
