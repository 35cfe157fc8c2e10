package testpeer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/pion/rtp"
)

// Options of a WHIP or WHEP session.
type Options struct {
	// URL is the endpoint, such as http://127.0.0.1:8080/whip/room.
	URL string
	// Token is sent as a Bearer token when not empty.
	Token string
	// Script is what a publisher sends; the zero value is DefaultScript.
	Script Script
	// Audio and Video are how many sections a player offers; both zero: one each.
	Audio, Video int
	// Setup of the peer itself.
	Setup Setup
	// Client is the HTTP client; nil: one without kept connections.
	Client *http.Client
	// EditOffer and EditAnswer may change the SDP on its way, for instance to
	// put a relay's address into the server's candidate.
	EditOffer, EditAnswer func(string) string
	// OnRTP sees every received packet from the first; see Peer.OnRTP.
	OnRTP func(*Received, *rtp.Packet)
}

// session is the HTTP resource of a peer.
type session struct {
	opt      Options
	resource string
	etag     string
}

// StatusError is an HTTP answer that was not what the protocol promises.
type StatusError struct {
	Method string
	Status int
	Body   string
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %q", e.Method, e.Status, e.Body)
}

// Publish makes a peer that publishes by WHIP (RFC 9725) and returns when the
// answer is applied; see Connected.
func Publish(ctx context.Context, opt Options) (*Peer, error) {
	if opt.Script == (Script{}) {
		opt.Script = DefaultScript
	}
	return open(ctx, opt, func(p *Peer) error { return p.Send(opt.Script) })
}

// Play makes a peer that plays by WHEP, the client offering.
func Play(ctx context.Context, opt Options) (*Peer, error) {
	if opt.Audio == 0 && opt.Video == 0 {
		opt.Audio, opt.Video = 1, 1
	}
	return open(ctx, opt, func(p *Peer) error { return p.Receive(opt.Audio, opt.Video) })
}

func open(ctx context.Context, opt Options, prepare func(*Peer) error) (*Peer, error) {
	p, err := create(opt.Setup)
	if err != nil {
		return nil, err
	}
	p.OnRTP(opt.OnRTP)
	if err = prepare(p); err == nil {
		err = p.post(ctx, opt)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	return p, nil
}

// post sends the offer and applies the answer.
func (p *Peer) post(ctx context.Context, opt Options) error {
	if opt.Client == nil {
		opt.Client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	p.session.opt = opt
	offer, err := p.offer(ctx)
	if err != nil {
		return err
	}
	if opt.EditOffer != nil {
		offer = opt.EditOffer(offer)
	}
	resp, answer, err := p.session.do(ctx, http.MethodPost, opt.URL, offer)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return &StatusError{http.MethodPost, resp.StatusCode, answer}
	}
	where, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return fmt.Errorf("testpeer: bad Location %q", resp.Header.Get("Location"))
	}
	p.session.resource, p.session.etag = where.String(), resp.Header.Get("ETag")
	if opt.EditAnswer != nil {
		answer = opt.EditAnswer(answer)
	}
	return p.answered(answer)
}

func (s *session) do(ctx context.Context, method, to, body string) (*http.Response, string, error) {
	if _, err := url.Parse(to); err != nil {
		return nil, "", err
	}
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/sdp")
	}
	if s.opt.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.opt.Token)
	}
	resp, err := s.opt.Client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp, string(b), err
}

// Resource returns the session's URL and ETag.
func (p *Peer) Resource() (location, etag string) { return p.session.resource, p.session.etag }

// Close deletes the HTTP resource, if any, and ends the peer.
func (p *Peer) Close(ctx context.Context) error {
	var gone error
	if p.session.resource != "" {
		resp, body, err := p.session.do(ctx, http.MethodDelete, p.session.resource, "")
		switch {
		case err != nil:
			gone = err
		case resp.StatusCode/100 != 2:
			gone = &StatusError{http.MethodDelete, resp.StatusCode, body}
		}
		p.session.resource = ""
	}
	return errors.Join(gone, p.Abandon())
}
