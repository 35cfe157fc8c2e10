// Package load makes publishers and subscribers of our own transport and drives
// any Parley server with them over WHIP, WHEP or the WebSocket, to measure what
// it does: packets, loss, latency, join times, and the server's CPU per forwarded
// packet when its process is on this machine.
//
// Peers are cheap: no codec, no second WebRTC stack, a socket each and on Linux
// one goroutine for all of them (wire.Loop). A picture is sealed, stamped and sent
// back to back, and everybody begins at an instant of their own, so that what is
// measured is the server's delay and not the generator's own queue; with
// Config.Sample most packets are counted by their headers without being opened.
// Not for conformance: real clients are in test/.
//
// Threading: a [Source] belongs to one goroutine; [Run] starts and joins
// everything it needs.
package load
