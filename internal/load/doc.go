// Package load makes publishers and subscribers of our own transport and drives
// any Parley server with them over WHIP, WHEP or the WebSocket, to measure what
// it does: packets, loss, latency, join times, and the server's CPU per forwarded
// packet when its process is on this machine.
//
// Peers are cheap: no codec, no second WebRTC stack, one socket and goroutine for
// many of them. Not for conformance: real clients are in test/.
//
// Threading: a [Source] and a [Sink] belong to one goroutine; [Run] starts and
// joins everything it needs.
package load
