//go:build race

package simroom

// raced tells that the race detector makes everything ten times as slow.
const raced = true
