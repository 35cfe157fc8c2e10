// Package payload looks into codec payloads: whether a packet starts an
// independently decodable picture, where VP8 keeps the picture ids that must run
// on over a source switch, and, for the mixer, how pictures are put together from
// packets ([Assembler]), what size they claim ([Claimed]) and how they are cut
// again ([Splitter]). It decodes nothing. Untrusted bytes; every index is checked.
package payload

import "parley/internal/media/layer"

// Codec is a payload format the package can look into.
type Codec uint8

// Codecs. Opaque formats are forwarded without looking: every packet counts as
// a place to start.
const (
	Opaque Codec = iota
	VP8
	VP9
	H264
	AV1
)

// ByName maps the SDP encoding name.
func ByName(name string) Codec {
	switch name {
	case "VP8":
		return VP8
	case "VP9":
		return VP9
	case "H264":
		return H264
	case "AV1":
		return AV1
	}
	return Opaque
}

// Keyframe reports whether b may be the first packet of a picture that needs no
// earlier one. H.264 can say so for several packets of one picture (SPS, then
// each slice): the caller takes the first of a timestamp.
func Keyframe(c Codec, b []byte) bool {
	switch c {
	case VP8:
		return vp8Keyframe(b)
	case VP9:
		return vp9Keyframe(b)
	case H264:
		return h264Keyframe(b)
	case AV1:
		return av1Keyframe(b)
	}
	return true
}

// vp9Keyframe: not inter-picture predicted, start of frame, lowest spatial
// layer (RFC 9628, section 4.2).
func vp9Keyframe(b []byte) bool {
	var d layer.VP9
	return layer.ParseVP9(b, &d) && d.Has(layer.Key)
}

// H.264 NAL unit types (RFC 6184, section 5.2).
const (
	nalIDR   = 5
	nalSPS   = 7
	nalSTAPA = 24
	nalFUA   = 28
)

func h264Keyframe(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	switch t := b[0] & 0x1f; t {
	case nalIDR, nalSPS:
		return true
	case nalFUA:
		return b[1]&0x80 != 0 && (b[1]&0x1f == nalIDR || b[1]&0x1f == nalSPS)
	case nalSTAPA:
		for b = b[1:]; len(b) >= 3; {
			n := int(b[0])<<8 | int(b[1])
			if t := b[2] & 0x1f; t == nalSPS || t == nalIDR {
				return true
			}
			if 2+n > len(b) || n == 0 {
				return false
			}
			b = b[2+n:]
		}
	}
	return false
}

// av1Keyframe: the N bit of the aggregation header marks the first packet of a
// coded video sequence (AV1 RTP payload, section 4.4); some senders leave it
// out, so a sequence header OBU as first element counts as well.
func av1Keyframe(b []byte) bool {
	if len(b) < 2 || b[0]&0x80 != 0 { // Z: continues an OBU
		return false
	}
	if b[0]&0x08 != 0 {
		return true
	}
	off := 1
	if b[0]>>4&3 != 1 { // W != 1: the first element has a length
		for off < len(b) && b[off]&0x80 != 0 && off < 9 {
			off++
		}
		off++
	}
	const sequenceHeader = 1
	return off < len(b) && b[off]>>3&0x0f == sequenceHeader
}
