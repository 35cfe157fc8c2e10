// Package simnet is a seeded virtual network on a virtual clock, for tests of
// the pure core: delay, jitter, random and bursty loss, reordering,
// duplication, rate and queue limits, and changes of these over time.
//
// The same seed and the same calls give the same packets at the same instants
// on every machine; a link draws from its own generator, so that traffic on one
// link does not change the fate of packets on another. The package has no
// sockets and reads no clock; simnet/relay puts the model between real ones.
//
// Threading: none. A Network and its links belong to one goroutine.
package simnet
