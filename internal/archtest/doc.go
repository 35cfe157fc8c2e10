// Package archtest holds no code, only tests that guard the house: which layer
// may import which, what the pure core must not touch, that every package says
// what it is, and that no second WebRTC stack reaches the server binary.
// Run with -count=1: the result depends on files outside this package.
package archtest
