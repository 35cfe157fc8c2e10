// Package testpeer is a second opinion: a WebRTC client made of pion/webrtc
// that publishes scripted media over WHIP and plays over WHEP, for tests of a
// running server, or joins over the WebSocket and does both. It
// shares nothing with the server but the wire and the names of package api.
//
// Threading: methods are safe for concurrent use; media is written by
// goroutines that Close ends and waits for.
package testpeer
