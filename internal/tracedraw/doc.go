// Package tracedraw makes a picture of a connection's trace: rates against the
// estimate, delay, loss, repairs, and what was shown when. It reads nothing and
// writes nothing: package media/trace reads, package plot draws, cmd/parley joins
// them.
//
// Pure functions of values.
package tracedraw
