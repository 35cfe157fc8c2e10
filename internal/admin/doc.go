// Package admin is the administration API under /api/v1 (docs/api.md): routes,
// checks and JSON. What a conference does is focus's, reached through the small
// interfaces declared here; who may is auth's. The routes are one table, and
// the OpenAPI document is made of it.
//
// Threading: the handler is safe for concurrent use and starts no goroutines.
package admin
