// Package session is the signalling relation between one client and the
// running conferences: who it is, which requests are open, what it has not yet
// confirmed, and how it comes back after its channel broke (docs/protocol.md).
//
// It is not a dialect: a [Channel] carries encoded frames, package ws and
// others turn the wire into calls. It is not conference control either: every
// request goes to [control.Port].
//
//	opening —hello→ open —channel lost→ suspended —resume→ open
//	                open, suspended —goodbye, rate, grace over→ closed
//
// Threading: a [Session] may be used from any goroutine. Its port lock
// serialises calls toward the Port, so that requests start in order of arrival
// and Suspended, Resumed and Closed cannot overtake each other; its state lock
// is never held during such a call, since a Port may answer at once from inside
// it. Lock order: port lock, state lock, the Channel's own. Time comes only
// from Config.Now and [Registry.Tick]; one driver ([Registry.Run]) ticks all
// sessions, there is no timer and no goroutine per session.
package session
