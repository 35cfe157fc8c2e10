// Command bench measures what forwarding costs: `make bench`.
//
// It builds the server and the bare sender of bench/floor, and runs in
// alternating rounds, server on one core and everything else on another: a
// broadcast of one publisher to a hundred subscribers and a meeting of ten, with
// both SRTP profiles, and beside each the bare sender with packets of the same
// size and GSO runs of the length the server reached. Then memory per idle
// subscriber. Medians, as a table and as JSON; docs/benchmarks.md says what a
// column means.
//
//	go run ./scripts/bench -rounds 3 -json result.json
//	go run ./scripts/bench -only 1x100 -old /path/to/another/parley   # paired comparison
//
//	go run ./scripts/bench -feedback -rounds 10 -only GCM -idle 0     # what rate control costs
//
// Everything stays on loopback. A round in which the generator's core was the
// limit is void and done again once.
package main
