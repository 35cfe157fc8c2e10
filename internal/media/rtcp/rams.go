package rtcp

import "encoding/binary"

// FmtRAMS is rapid acquisition of multicast sessions (RFC 6285, section 7).
const FmtRAMS = 6

// Kinds of RAMS messages.
const (
	RAMSRequest     = 1
	RAMSInformation = 2
	RAMSTermination = 3
)

// Elements of RAMS messages (RFC 6285, sections 7.2 to 7.4).
const (
	ramsWanted   = 1  // SSRCs that are asked for
	ramsMinFill  = 2  // ms
	ramsMaxFill  = 3  // ms
	ramsMaxRate  = 4  // bit/s
	ramsSSRC     = 31 // of the media sender
	ramsFirst    = 32 // sequence number of the burst's first packet
	ramsJoin     = 33 // earliest time to join, ms
	ramsDuration = 34 // ms
	ramsRate     = 35 // bit/s
	ramsJoined   = 61 // extended number of the first packet of the group
)

// Responses of [RAMSInformation].
const (
	RAMSAccepted = 200
	RAMSInvalid  = 400
	RAMSBusy     = 500
)

// RAMS is one message; members that were not there are zero.
type RAMS struct {
	Sender, Media uint32 // of the feedback header
	Kind          uint8
	// Request.
	Wanted           []uint32
	MinFill, MaxFill uint32 // ms
	MaxRate          uint64 // bit/s
	// Information.
	Number   uint8 // of this message, for repeats
	Response uint16
	SSRC     uint32
	First    uint16
	Join     uint32 // ms
	Duration uint32 // ms
	Rate     uint64
	// Termination.
	Joined uint32
}

// AppendRAMS appends one message.
func AppendRAMS(b []byte, r *RAMS) []byte {
	at := len(b)
	b = append(b, 0x80|FmtRAMS, TypeRTPFB, 0, 0)
	b = put32(put32(b, r.Sender), r.Media)
	b = append(b, r.Kind, 0, 0, 0)
	if r.Kind == RAMSInformation {
		b[len(b)-3] = r.Number
		binary.BigEndian.PutUint16(b[len(b)-2:], r.Response)
	}
	word := func(typ uint8, v uint32) { b = put32(append(b, typ, 0, 0, 4), v) }
	wide := func(typ uint8, v uint64) { b = binary.BigEndian.AppendUint64(append(b, typ, 0, 0, 8), v) }
	switch r.Kind {
	case RAMSRequest:
		if n := len(r.Wanted); n > 0 {
			b = append(b, ramsWanted, 0, uint8(4*n>>8), uint8(4*n))
			for _, s := range r.Wanted {
				b = put32(b, s)
			}
		}
		word(ramsMinFill, r.MinFill)
		word(ramsMaxFill, r.MaxFill)
		wide(ramsMaxRate, r.MaxRate)
	case RAMSInformation:
		word(ramsSSRC, r.SSRC)
		b = append(b, ramsFirst, 0, 0, 2, uint8(r.First>>8), uint8(r.First), 0, 0)
		word(ramsJoin, r.Join)
		word(ramsDuration, r.Duration)
		wide(ramsRate, r.Rate)
	case RAMSTermination:
		word(ramsJoined, r.Joined)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16((len(b)-at)/4-1))
	return b
}

// maxWanted bounds the SSRCs that are read of one request.
const maxWanted = 16

// ReadRAMS reads one message; false: none, or a broken one.
func (p *Packet) ReadRAMS() (r RAMS, ok bool) {
	if p.Type != TypeRTPFB || p.Count != FmtRAMS || len(p.Body) < 12 {
		return r, false
	}
	r.Sender, r.Media = be32(p.Body), be32(p.Body[4:])
	r.Kind, r.Number, r.Response = p.Body[8], p.Body[9], binary.BigEndian.Uint16(p.Body[10:])
	if r.Kind != RAMSInformation {
		r.Number, r.Response = 0, 0
	}
	for b := p.Body[12:]; len(b) > 0; {
		if len(b) < 4 {
			return r, false
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		padded := 4 + (n+3)&^3
		if padded > len(b) {
			return r, false
		}
		r.element(b[0], b[4:4+n])
		b = b[padded:]
	}
	return r, r.Kind >= RAMSRequest && r.Kind <= RAMSTermination
}

func (r *RAMS) element(typ uint8, v []byte) {
	if typ == ramsWanted {
		for ; len(v) >= 4 && len(r.Wanted) < maxWanted; v = v[4:] {
			r.Wanted = append(r.Wanted, be32(v))
		}
		return
	}
	words := map[uint8]*uint32{
		ramsMinFill: &r.MinFill, ramsMaxFill: &r.MaxFill, ramsSSRC: &r.SSRC, ramsJoin: &r.Join, ramsDuration: &r.Duration, ramsJoined: &r.Joined,
	}
	wide := map[uint8]*uint64{ramsMaxRate: &r.MaxRate, ramsRate: &r.Rate}
	switch {
	case words[typ] != nil && len(v) == 4:
		*words[typ] = be32(v)
	case wide[typ] != nil && len(v) == 8:
		*wide[typ] = binary.BigEndian.Uint64(v)
	case typ == ramsFirst && len(v) == 2:
		r.First = binary.BigEndian.Uint16(v)
	}
}
