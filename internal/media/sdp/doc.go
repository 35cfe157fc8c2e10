// Package sdp reads, checks, answers and writes session descriptions for
// browsers and other WebRTC ends (RFC 8829 JSEP, RFC 9143 BUNDLE, RFC 8866 SDP).
//
// It knows one kind of session: unified plan, one BUNDLE group, rtcp-mux,
// DTLS-SRTP, ICE-lite on our side. Whatever does not fit is refused as
// "bad-sdp" with the offending thing named, or the section is answered with
// port 0. Hard caps come before any parsing (RFC 8866 sets none). Lines are
// split and typed by pion/sdp; everything attributes mean is ours.
//
// It is not a state machine: who may offer, and what a section carries, is
// decided by the focus, which hands in one [Decision] a section and keeps the
// [Session] value between answers. Nor does it act on the client's candidates:
// the server never probes an address that a client names, so candidates of an
// offer are kept as text and read only by a client of ours ([ParseAnswer]).
//
// Pure functions of values; safe for concurrent use on distinct values. A
// [Description] is read-only after Parse.
package sdp
