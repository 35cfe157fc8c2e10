// Package quality estimates how good a stream is for whoever hears or sees it:
// one number from 1 (bad) to 5 (excellent) out of what is counted anyway. It is
// an estimate of a mean opinion score (ITU-T P.800.1, MOS-CQE), not a
// measurement of any person; docs/statistics.md has the formulas, where they
// come from and what they leave out.
//
// Pure functions of values, for any goroutine. 0 stands for "nothing to judge".
package quality
