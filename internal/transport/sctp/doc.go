// Package sctp carries data channels (RFC 8831, RFC 8832) of one peer over its
// DTLS connection, with pion/sctp and pion/datachannel as engine and every
// limit set by us (reliability A25, D11).
//
// It is not on the media path and is started only when a peer first sends SCTP:
// an association costs several goroutines, one more per open channel.
//
// Threading. Start returns at once; callbacks come from the association's
// goroutines, never two at a time for one channel, and must not block: what
// they hold back holds back this peer alone. Send never blocks.
package sctp
