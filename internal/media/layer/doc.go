// Package layer tells which spatial and temporal layer each packet of a layered
// stream belongs to and where a receiver can be moved to another one: from the
// AV1 dependency descriptor (AV1 RTP payload, appendix A), which says it for any
// codec and needs nothing of the payload, else from the VP9 (RFC 9628) or VP8
// (RFC 7741) payload descriptor. It chooses nothing (package stream does) and
// keeps of a stream only its [Dependency] structure. Untrusted bytes; every
// length is checked. Pure; a value belongs to one goroutine.
package layer
