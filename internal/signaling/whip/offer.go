package whip

import (
	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
)

// offer is a client's offer as far as joining needs it.
type offer struct {
	text   string
	creds  plane.ICECreds
	tracks []api.PublishParams // WHIP: what it publishes
	cids   map[string]string   // mid → cid
}

// readOffer checks an offer against its surface: a WHIP client sends, a WHEP
// client receives (RFC 9725, section 4.2; draft-ietf-wish-whep-03, section 4.2).
func readOffer(kind string, body []byte) (*offer, error) {
	d, err := sdp.Parse(body)
	if err != nil {
		return nil, err
	}
	o := &offer{text: string(body), creds: d.Transport().ICE}
	useful := false
	for i := range d.Sections {
		s := &d.Sections[i]
		if !s.Active() || s.Kind == plane.Application {
			continue
		}
		if kind == "whep" {
			useful = useful || s.Direction.Receives()
		} else if s.Direction.Sends() {
			useful = true
			o.publish(s)
		}
	}
	if !useful {
		want := "send"
		if kind == "whep" {
			want = "receive"
		}
		return nil, fault.New(422, "bad-sdp", "The offer has no audio or video section that can %s", want)
	}
	return o, nil
}

func (o *offer) publish(s *sdp.Section) {
	p := api.PublishParams{CID: "mid-" + s.MID, Kind: "audio", Source: "microphone", Stream: streamName(s.Stream), RIDs: s.Simulcast}
	if s.Kind == plane.Video {
		p.Kind, p.Source = "video", "camera"
	}
	if o.cids == nil {
		o.cids = make(map[string]string)
	}
	o.tracks = append(o.tracks, p)
	o.cids[s.MID] = p.CID
}

func streamName(s string) string {
	if s == "-" {
		return ""
	}
	return s
}
