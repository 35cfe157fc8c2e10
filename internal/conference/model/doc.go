// Package model holds the values of a conference: the objects of the domain
// model with their identities, attributes, relations and life-cycle states.
//
// It is not where anything is decided: who may do what is package policy, and
// every change of state is made by package control. Values belong to the one
// goroutine that drives their control.Machine; nothing here locks.
//
// Life cycles, as far as this version walks them:
//
//	Conference    scheduled ─start→ active ─end, afterS→ ending ─last left, time→ ended
//	                                active ─end, empty 300 s──────────────────→ ended
//	Participant   joining ─→ (lobby ─admit→) joined ─last device gone→ left ─30 s→ (row removed)
//	                         lobby ─reject, expel→ left; lobby ─leaves→ (row removed)
//	Device        on-hold (lobby) ─admit→ connected; on-hold ─reject→ disconnected
//	              connected ⇄ muted-via-focus ─leave, failure, end→ disconnected ─30 s→ (row removed)
//	Connection    new ─offer→ connecting ─→ connected ⇄ disconnected ─→ failed ─30 s→ closed
//	                                                     failed ─offer→ new (another connection)
//	MediaSession  stable ─offer→ have-remote-offer ─answer, refusal→ stable ─→ closed
//	Track         announced ─first packet→ live ─unpublish, BYE, device gone→ ended
//	FloorRequest  pending ─chair→ granted, denied; accepted ─next→ granted; granted ─→ released, revoked
//	              pending, accepted ─own release, gone→ cancelled
//	Subscription  requested ─section→ active ⇄ paused ─→ ended; requested ─no codec→ denied
package model
