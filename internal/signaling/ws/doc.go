// Package ws is the WebSocket dialect: it turns frames of subprotocol confctl.1
// (docs/protocol.md) into calls of package session, and nothing else.
//
// Threading: two goroutines per connection. The one net/http gave us reads; a
// writer empties a bounded queue, so that nobody who sends ever waits for a
// slow client. The handler returns when both are done.
package ws
