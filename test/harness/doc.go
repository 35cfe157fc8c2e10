// Package harness runs the real binary for process-level tests: it builds it
// once per test package, starts it on free ports, waits until it is ready,
// keeps its log, reads its accounts over the admin listener, and stops it with
// SIGTERM, which must end in exit status 0 within five seconds. It can also put
// a whole test package into a network namespace of its own, for clients that
// refuse 127.0.0.1 as a candidate.
//
// It asserts nothing about media; that is for the tests that use it.
//
// RACE=1 builds the server with the race detector, BINARY=FILE takes one that is
// built already (relative to the package under test). Set PARLEY_* variables
// do not reach the servers under test.
//
// Threading: a Server's methods are safe for concurrent use, except Stop and
// Kill, which belong to the test's goroutine.
package harness
