// Package control is the state machine of one conference: commands in, events
// and effects out, one revision per commit.
//
// It is pure. [Machine] has no clock, lock, goroutine or logger; its owner
// (focus, or a test on a virtual clock) hands in the time, calls Step for each
// command one after another, and Tick when Deadline has come. Each command is
// one handler in one table (table.go); facts from the media side and from
// signalling (a link failed, a session was resumed) are commands too, which no
// client can give.
//
// The package also declares [Port], what signalling calls and focus implements.
package control
