// Package demux says what an arriving datagram is (RFC 7983 by the first byte,
// RFC 5761 for RTP against RTCP) and whose it is (by address, and for STUN by
// user name fragment).
//
// It reads one or two bytes and a length, never the inside of a packet, and it
// decides nothing about trust: an address enters the [Table] only when its
// owner calls Bind after an authenticated check, so that nobody captures
// another's address by naming it (scenario D8).
//
// Threading: Classify is pure. A Table belongs to one worker's goroutine.
package demux
