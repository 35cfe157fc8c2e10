// Package simroom is a whole room on a virtual clock: model publishers, links
// of package simnet, the real media engine, and model receivers that judge what
// they get as a browser would. Its tests are the bad-network lines of the
// specification (Q1 to Q16, D9, SFM-8, SFM-9).
//
// It is not a load tool and not a browser: pictures are sizes and references
// and not pixels, and there is no encryption. The server's part is the product's
// own code, without sockets, driven through [engine.API] as a worker does.
//
// Everything is drawn from one seed; the same seed gives the same packets on
// every machine. Nothing in the server's part is told what a link will do.
//
// Threading: none. A Room and all that hangs on it belong to one goroutine.
package simroom
