// Package info is the conference-info document of RFC 4575: its types, its two
// forms (application/conference-info+xml and JSON, without loss between them),
// how one is built from a conference's state for a view of role and privacy,
// the notifier's diff and the subscriber's patch, all pure functions over
// values.
//
// A document, once built, is never changed: a new one shares every row that is
// the same, so that a diff skips them by comparing pointers, and documents may
// be handed to other goroutines. The JSON form is that of docs/protocol.md
// (keyed lists as objects); the key of a row is not repeated inside. Throttling
// and versions belong to package notify.
package info
