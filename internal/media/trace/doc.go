// Package trace is the record of one connection's transport, for looking at a
// bad call afterwards: what was estimated, sent, acknowledged, lost and asked
// for again, ten times a second, and what happened between. The form is qlog's
// (draft-ietf-quic-qlog-main-schema): JSON text sequences (RFC 7464), first a
// record that says what it is, then an event each, with a schema of our own;
// docs/statistics.md lists it.
//
// A trace holds numbers and ids that the server made. It never holds what a
// client wrote, media, keys or addresses.
//
// Pure: encoding appends to a slice, reading takes a reader. Who keeps the files
// is package tracefile; the engine hands its events to a [Sink].
package trace
