// Package web carries the browser client inside the server binary: the built
// files of web/dist and the HTTP handler that serves them.
//
// The sources are TypeScript: web/sdk (the framework-free SDK) and web/app (the
// Preact client). `cd web/build && go run .` turns them into web/dist, which is
// committed so that neither `go install` nor `go run` needs Node; a test of this
// package fails when web/dist is older than its sources.
//
// It is not an API server: WebSocket, WHIP and authentication live elsewhere.
// Everything here is immutable after start and safe for concurrent use.
package web
