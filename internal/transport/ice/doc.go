// Package ice is connectivity for one link: the server's lite agent
// (RFC 8445, section 2.5), which answers authenticated checks and follows them,
// and a small controlling agent for our own load peers and tests.
//
// It is not a socket and not a gatherer: it takes now, a message and where it
// came from, and returns bytes to send. Candidates that a client signals are
// never looked at, so no address is probed and none can be claimed by naming
// it; a path exists only after an authenticated check arrived on it (RFC 8445,
// section 7.3). Everything not authenticated is met with silence.
//
// The STUN reader and writer are our own (bounded, no allocation) and are held
// to pion/stun in the tests.
//
// Threading: an Agent or Controller belongs to one goroutine. The package
// functions are pure.
package ice
