//go:build !race

package ice

// Under the race detector sync.Pool drops items on purpose, so allocation
// counts mean nothing.
const raceEnabled = false
