//go:build race

package udp

// Under the race detector allocation counts mean nothing.
const raceEnabled = true
