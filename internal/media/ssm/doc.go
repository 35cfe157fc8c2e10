// Package ssm is the RTCP of source-specific multicast (RFC 5760): the
// distribution source, which takes the receivers' unicast reports and tells the
// group of them by summary or by reflection; the interval arithmetic of large
// and of multicast groups (RFC 3550, section 6.3; RFC 4585, section 3.5); and
// the members of an any-source group.
//
// It has no socket and sends nothing: packets and instants go in, packets come
// out. It is not the sender of media either, whose reports pass as they are.
//
// Values belong to one goroutine.
package ssm
