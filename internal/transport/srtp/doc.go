// Package srtp seals and opens SRTP and SRTCP (RFC 3711; RFC 7714 for GCM) for
// the two profiles of DTLS-SRTP we speak. It is not a session: no socket, no
// buffering, no goroutine, no key exchange.
//
// A Sender or Receiver is one direction of one link and belongs to one
// goroutine. It is cold between packets, so it is kept small, and a packet
// allocates nothing once its SSRC is known. A packet that fails authentication
// changes no state but a counter (RFC 3711, section 3.3).
package srtp
