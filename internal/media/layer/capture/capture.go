// Package capture reads recordings of what a browser sent, for tests of layer
// selection: RTP packets with their arrival times, and what was negotiated.
// See ../testdata/captures/README.md for how they are made.
//
// It is no part of the server: only tests import it. It does not look into
// packets. Pure, no state.
package capture

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Capture is one recording.
type Capture struct {
	Name        string
	Description Description
	Packets     []Packet
}

// Packet is one as the server has it after SRTP.
type Packet struct {
	At  time.Duration // since the first one, to the millisecond
	RTP []byte
}

// Description says what was negotiated and what came.
type Description struct {
	Browser    string           `json:"browser"`
	Extensions map[uint8]string `json:"extensions"` // URI by id
	Payloads   []Payload        `json:"payloads"`
	Streams    []Stream         `json:"streams"`
	Millis     int64            `json:"millis"`
	Bytes      int              `json:"bytes"`
}

// Payload is a payload type in use.
type Payload struct {
	PT   uint8  `json:"pt"`
	Mime string `json:"mime"` // as in a=rtpmap
	Fmtp string `json:"fmtp"`
}

// Stream is one SSRC.
type Stream struct {
	SSRC    uint32 `json:"ssrc"`
	RID     string `json:"rid"`   // of simulcast
	RTXOf   string `json:"rtxOf"` // the RID whose packets it repeats
	PT      uint8  `json:"pt"`
	Packets int    `json:"packets"`
}

// Extension returns the id of the extension whose URI contains part, 0 when it
// was not negotiated.
func (d *Description) Extension(part string) uint8 {
	for id, uri := range d.Extensions {
		if strings.Contains(uri, part) {
			return id
		}
	}
	return 0
}

// Codec returns the payload type and the rtpmap name of what is no repair.
func (d *Description) Codec() (pt uint8, mime string) {
	for _, p := range d.Payloads {
		if !strings.HasPrefix(p.Mime, "rtx/") {
			return p.PT, p.Mime
		}
	}
	return 0, ""
}

// SSRC returns the one of a RID; the empty RID means the only media stream.
func (d *Description) SSRC(rid string) uint32 {
	pt, _ := d.Codec()
	for _, s := range d.Streams {
		if s.PT == pt && s.RID == rid {
			return s.SSRC
		}
	}
	return 0
}

// Load reads NAME.rtpdump and NAME.json.
func Load(fsys fs.FS, name string) (*Capture, error) {
	c := &Capture{Name: name}
	b, err := fs.ReadFile(fsys, name+".json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &c.Description); err != nil {
		return nil, err
	}
	if b, err = fs.ReadFile(fsys, name+".rtpdump"); err != nil {
		return nil, err
	}
	c.Packets, err = Parse(b)
	return c, err
}

// Parse reads the rtpdump format of rtptools: a line of text, a header of 16
// bytes, then records of length, packet length, milliseconds and packet.
func Parse(b []byte) ([]Packet, error) {
	line := bytes.IndexByte(b, '\n')
	if !bytes.HasPrefix(b, []byte("#!rtpplay1.0 ")) || len(b) < line+17 {
		return nil, fmt.Errorf("capture: no rtpdump file")
	}
	var out []Packet
	for b = b[line+17:]; len(b) > 0; {
		if len(b) < 8 {
			return nil, fmt.Errorf("capture: record %d is cut", len(out))
		}
		record, length := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
		if record < 8 || length > record-8 || record > len(b) {
			return nil, fmt.Errorf("capture: record %d says %d bytes of %d", len(out), length, record)
		}
		at := time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Millisecond
		out = append(out, Packet{At: at, RTP: b[8 : 8+length : 8+length]})
		b = b[record:]
	}
	return out, nil
}
