// Package abusetest holds tests of abuse and bad input against the real binary:
// floods of its media port, hostile publishers, unfinished joins, slow and
// greedy signalling (docs/reliability scenarios D1 to D14 and S1 to S5). Beside
// every attack runs an untouched room, and after it the process must be as small
// as before.
//
// It holds no code of the server and nothing imports it. The tests need the tag
// abuse, so that the race detector's run of all packages leaves them out:
//
//	go test -tags abuse ./internal/abusetest
//
// SOAK=1 runs the figures in full, which takes some minutes more. All traffic
// stays on loopback, whose many addresses stand for many hosts.
//
// Threading: tests run one after another, since they measure.
package abusetest
