//go:build !race

package simroom

const raced = false
