// Package whip is the HTTP dialect for publishers and viewers without a
// WebSocket: WHIP (RFC 9725) at /whip/{conference} and WHEP
// (draft-ietf-wish-whep-03) at /whep/{conference}. One POST is one participant:
// session, join, offer and answer in one round trip.
//
// Such a session has no heartbeat. It lives until DELETE, or until the focus
// says goodbye because the media link failed or the conference ended. WHEP's
// offers from the server (406) are not used: the viewer's offer is answered.
//
// Threading: handlers run on the goroutines of net/http. A goodbye of the
// focus is finished on a goroutine of its own, since the focus is inside a call
// then; [Handler.Shutdown] joins these.
package whip
