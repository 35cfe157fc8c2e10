// Package auth says who a client is: access tokens, the owner's key, invite
// codes, and with --dev any name. It decides nothing about conferences beyond
// the role and room a token grants; that is conference/policy.
//
// Secrets live in headers, bodies and URL fragments only, never in a query or
// a path, where proxies and logs keep them. Every refusal has one text,
// whatever its reason (scenario S5), and refusals are counted per address.
//
// Times of tokens are judged on the wall clock of the start plus the monotonic
// time since, so that a step of the wall clock puts nobody out (scenario R15).
//
// Threading: all methods are safe for concurrent use. No goroutines.
package auth
