// Package link is one peer's wire from start to close: the ICE-lite agent and
// its paths, the DTLS handshake, the SRTP contexts it yields, and the state that
// follows from the three.
//
//	new ──validated path──▶ checking ──keys──▶ connected ⇄ disconnected
//	 └──────────┴─────────────────────────────────┴──▶ failed / closed
//
// It is not a socket, an engine or a book of links: it takes what came over
// one path and says what it was; it hands back what must be sent. A packet that
// does not authenticate is counted and never acted on (reliability A7); DTLS is
// heard only from a path with an authenticated check (A1); the way out follows
// such checks only, never packets (A6).
//
// Threading: a Link belongs to its shard's goroutine. The DTLS handshake and the
// data channels run elsewhere and come back through [Config.Post].
package link
