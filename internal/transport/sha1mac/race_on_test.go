//go:build race

package sha1mac

// Under the race detector sync.Pool drops items on purpose.
const raceEnabled = true
