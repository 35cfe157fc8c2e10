package admin

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/focus"
	"parley/internal/media/sdp"
)

// typeSDP is a session description as a body of its own (RFC 8866, section 8.1).
const typeSDP = "application/sdp"

// text is an answer that is no JSON.
type text struct {
	kind string
	body string
}

// hasSDP reports whether the body is a bare description.
func (c *call) hasSDP() bool {
	t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	return err == nil && t == typeSDP
}

// sdp reads a bare description.
func (c *call) sdp() (string, error) {
	b, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, sdp.MaxPlainBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", fault.New(413, "too-large", "The body is over %d bytes", sdp.MaxPlainBytes)
	case err != nil:
		return "", fault.New(400, "bad-request", decodeSilent)
	case len(b) == 0:
		return "", bad("sdp", "is missing")
	}
	return string(b), nil
}

// rtpOpen reads the body of either form; of a bare description the rest is in
// the query.
func (c *call) rtpOpen() (api.RTPOpen, error) {
	var in api.RTPOpen
	if !c.hasSDP() {
		return in, c.decode(&in)
	}
	var err error
	if in.SDP, err = c.sdp(); err != nil {
		return in, err
	}
	q := c.r.URL.Query()
	in.Name, in.User, in.Label, in.Role = q.Get("name"), q.Get("user"), q.Get("label"), api.Role(q.Get("role"))
	switch q.Get("latch") {
	case "":
	case "true", "false":
		latch := q.Get("latch") == "true"
		in.Latch = &latch
	default:
		return in, bad("latch", "must be true or false")
	}
	return in, nil
}

func openRTP(c *call) (any, error) {
	in, err := c.rtpOpen()
	if err != nil {
		return nil, err
	}
	for _, f := range []struct{ name, v string }{{"name", in.Name}, {"user", in.User}, {"label", in.Label}} {
		if len(f.v) > maxTitle || !utf8.ValidString(f.v) || strings.ContainsFunc(f.v, unicode.IsControl) {
			return nil, bad(f.name, "must be at most 256 bytes of text")
		}
	}
	if _, err := c.inspect(false); err != nil {
		return nil, err
	}
	leg, err := c.h.cfg.Conferences.OpenRTP(c.r.Context(), c.uri, focus.RTPRequest{Open: in, Addr: c.h.cfg.AddrOf(c.r)})
	if err != nil {
		return nil, err
	}
	c.header.Set("Location", Prefix+"/conferences/"+c.uri+"/rtp/"+leg.ID)
	return c.rtpAnswer(leg), nil
}

// rtpAnswer is a bare description for who sent one.
func (c *call) rtpAnswer(leg api.RTPLeg) any {
	if c.hasSDP() {
		return text{typeSDP, leg.SDP}
	}
	return leg
}

func reofferRTP(c *call) (any, error) {
	var in api.RTPOpen
	var err error
	if c.hasSDP() {
		in.SDP, err = c.sdp()
	} else {
		err = c.decode(&in)
	}
	if err != nil {
		return nil, err
	}
	if in.SDP == "" {
		return nil, bad("sdp", "is missing")
	}
	leg, err := c.h.cfg.Conferences.OfferRTP(c.r.Context(), c.uri, c.r.PathValue("id"), []byte(in.SDP))
	if err != nil {
		return nil, err
	}
	return c.rtpAnswer(leg), nil
}

func closeRTP(c *call) (any, error) {
	return nil, c.h.cfg.Conferences.CloseRTP(c.r.Context(), c.uri, c.r.PathValue("id"))
}

func listRTP(c *call) (any, error) {
	if _, err := c.inspect(false); err != nil {
		return nil, err
	}
	list, err := c.h.cfg.Conferences.RTPs(c.r.Context(), c.uri)
	if list == nil {
		list = []api.RTPLeg{}
	}
	return api.RTPLegs{Legs: list}, err
}

func getRTP(c *call) (any, error) {
	leg, err := c.h.cfg.Conferences.RTP(c.r.Context(), c.uri, c.r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return leg, nil
}

func pressRTP(c *call) (any, error) {
	var in api.RTPKeys
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	return nil, c.h.cfg.Conferences.PressRTP(c.r.Context(), c.uri, c.r.PathValue("id"), in)
}
