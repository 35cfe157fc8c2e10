// Package testpeer is a second opinion: a WebRTC client made of pion/webrtc
// that publishes scripted media over WHIP and plays over WHEP, for tests of a
// running server. It shares no code with the server but the wire.
//
// Threading: methods are safe for concurrent use; media is written by
// goroutines that Close ends and waits for.
package testpeer
