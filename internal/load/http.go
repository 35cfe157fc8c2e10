package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
	"parley/internal/transport/ice"
	"parley/internal/worker/wire"
)

// maxAnswer caps what is read from a server we do not trust either.
const maxAnswer = 256 << 10

// dialer joins peers to one room.
type dialer struct {
	cfg     *Config
	client  *http.Client
	sockets *http.Client // for WebSockets
	shared  wire.Config  // identity, handshakes, clock
}

func newDialer(cfg *Config, shared wire.Config) *dialer {
	t := &http.Transport{
		MaxIdleConnsPerHost: 32, MaxConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: cfg.Insecure, MinVersion: tls.VersionTLS12}, // only with --insecure
	}
	// A WebSocket that is closed without a word is reset, not finished: what a
	// lost network looks like to the server.
	ws := t.Clone()
	ws.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if tc, ok := c.(*net.TCPConn); ok {
			_ = tc.SetLinger(0)
		}
		return c, err
	}
	return &dialer{
		cfg: cfg, shared: shared, client: &http.Client{Transport: t, Timeout: 30 * time.Second}, sockets: &http.Client{Transport: ws},
	}
}

// offered is an offer on its way.
type offered struct {
	creds ice.Creds
	offer *sdp.Offer
}

// write makes an offer with fresh ICE credentials.
func (d *dialer) write(prev sdp.Session, creds ice.Creds, sections []sdp.OfferSection) (*offered, error) {
	hash, value := d.shared.Identity.Fingerprint()
	if d.cfg.Bare {
		for i := range sections {
			strip(&sections[i])
		}
	}
	o, err := sdp.NewOffer(prev, sdp.OfferConfig{
		Local: plane.Local{
			ICE:         plane.ICECreds{Ufrag: creds.Ufrag, Pwd: secret(creds.Pwd)},
			Fingerprint: plane.Fingerprint{Hash: hash, Value: value},
		},
		Setup: "actpass", Sections: sections,
	})
	if err != nil {
		return nil, err
	}
	return &offered{creds: creds, offer: o}, nil
}

// strip takes from an offered section what rate control and repair need.
func strip(s *sdp.OfferSection) {
	if s.Codecs == nil {
		s.Codecs = sdp.DefaultCodecs(s.Kind)
	}
	for i := range s.Codecs {
		c := &s.Codecs[i]
		c.TWCC, c.REMB, c.CCFB, c.RTX = false, false, false, 0
	}
	exts := sdp.DefaultExts(s.Kind)
	exts[plane.ExtTransportCC] = 0
	s.Exts = &exts
	if s.Send != nil {
		s.Send.RTXSSRC = 0
	}
}

// post sends an offer to WHIP or WHEP and returns the answer and its resource.
func (d *dialer) post(ctx context.Context, kind, room string, o *offered) (*sdp.Accepted, string, error) {
	// One token may publish once from each device: every peer is a device.
	url := strings.TrimSuffix(d.cfg.URL, "/") + "/" + kind + "/" + room + "?device=load-" + ids.NewSecret().Reveal()[:12]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(o.offer.SDP))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", "application/sdp")
	d.authorize(req)
	res, err := d.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, "", err
	}
	if res.StatusCode != http.StatusCreated {
		return nil, "", fmt.Errorf("%s answered %s: %s", kind, res.Status, bytes.TrimSpace(body[:min(len(body), 200)]))
	}
	a, err := sdp.ParseAnswer(o.offer, body)
	if err != nil {
		return nil, "", fmt.Errorf("%s answer: %w", kind, err)
	}
	loc, err := res.Request.URL.Parse(res.Header.Get("Location"))
	if err != nil {
		return nil, "", fmt.Errorf("%s Location: %w", kind, err)
	}
	return a, loc.String(), nil
}

func (d *dialer) authorize(req *http.Request) {
	if d.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+d.cfg.Token)
	}
}

// remove ends a WHIP or WHEP session; errors do not matter at the end of a run.
func (d *dialer) remove(ctx context.Context, resource string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, resource, nil)
	if err != nil {
		return
	}
	d.authorize(req)
	if res, err := d.client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
		_ = res.Body.Close()
	}
}

// dial starts the wire of an accepted offer.
func (d *dialer) dial(o *offered, a *sdp.Accepted, c wire.Config) (*wire.Peer, error) {
	cfg := d.shared
	cfg.OnRTP, cfg.OnRTCP, cfg.OnState, cfg.OnAge, cfg.OnSealed = c.OnRTP, c.OnRTCP, c.OnState, c.OnAge, c.OnSealed
	cfg.Local = o.creds
	cfg.Remote = ice.Creds{Ufrag: a.Remote.Ufrag, Pwd: a.Remote.Pwd.Reveal()}
	cfg.DTLSClient = a.DTLSClient
	for _, f := range a.Prints {
		cfg.Fingerprints = append(cfg.Fingerprints, struct{ Hash, Value string }{f.Hash, f.Value})
	}
	server, ok := pick(a.Candidates)
	if !ok {
		return nil, fmt.Errorf("the answer has no UDP candidate")
	}
	cfg.Server = server
	return wire.Dial(cfg)
}

// pick takes the best UDP candidate.
func pick(cs []plane.Candidate) (best netip.AddrPort, ok bool) {
	var prio uint32
	for _, c := range cs {
		if strings.EqualFold(c.Transport, "udp") && (!ok || c.Priority > prio) {
			best, prio, ok = c.Addr, c.Priority, true
		}
	}
	return best, ok
}
