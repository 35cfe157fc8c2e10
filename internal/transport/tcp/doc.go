// Package tcp is passive ICE-TCP (RFC 6544): it accepts connections, on a port
// of its own or told apart from HTTP and TLS on the web port, and carries
// datagrams framed by RFC 4571 between a peer and the worker.
//
// It does not know ICE: who a connection belongs to is decided by the worker
// from the STUN checks it delivers. It only insists that the first frame is
// STUN and comes soon.
//
// Threading. One reader and, once something is written, one writer goroutine
// per connection: TCP peers are the exception. Received frames are delivered
// from the reader goroutine; [Conn.Send] never blocks.
package tcp
