// Package plain is the wire of RTP without WebRTC: port pairs (RFC 3550,
// section 11), where a session's packets may come from and go to, and
// multicast sockets.
//
// It is not a media engine and reads no payload; keys are package srtp's. What
// a session hears and sends is decided by the worker that owns it.
//
// Threading: [Range] is safe for concurrent use. [Path] and [Tones] are pure
// values of one goroutine. All sockets of a range are read by one goroutine (on
// Linux; elsewhere one each), which lives while any is open: such sessions have
// ports of their own and cannot share the workers' sockets.
package plain
