// Package dtls runs the DTLS 1.2 handshake of one peer in either role and hands
// out SRTP keys (RFC 5764), with pion/dtls as the protocol engine.
//
// It is not a socket and not ICE: datagrams are fed with [Conn.HandleDatagram]
// by the worker, which does so only for a path that passed an authenticated
// connectivity check, and leave through [Config.Send]. Because that path proof
// exists the HelloVerifyRequest exchange is skipped (one round trip less).
//
// In front of the engine stands a filter that lets through only records that
// are well formed and expected at this point: plaintext alerts, foreign or
// unacceptable ClientHellos, unknown epochs and lying lengths are dropped and
// counted, so they can never end a handshake or a connection.
//
// Threading. HandleDatagram never blocks and may be called from the shard.
// Handshakes run on goroutines of a bounded [Pool]; Send and Done are called
// from those goroutines (Send also from HandleDatagram and Close) and must be
// safe for that. Once a handshake without data channel is over, neither
// goroutine nor pion connection remains: only the last flight, for a peer that
// missed it, and a close_notify made in advance.
package dtls
