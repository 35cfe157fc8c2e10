package whip

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
)

// resource is one WHIP or WHEP session. Its id is an unguessable capability;
// the caller must be the one who made it all the same.
type resource struct {
	h      *Handler
	id     string
	target target
	caller control.Caller
	device string
	token  *[sha256.Size]byte // of the Authorization it was made with; nil: none
	offer  *offer             // restarting replaces the credentials only, under patching

	patching sync.Mutex // one PATCH at a time; before mu

	mu    sync.Mutex // guards what follows
	ms    string
	etag  string // names the ICE session (RFC 9725, section 4.3.1)
	known bool   // to the Port
	gone  bool
}

var _ control.Sink = (*resource)(nil)

func (res *resource) key() deviceKey {
	return deviceKey{res.target.conf, res.caller.By.Subject, res.device}
}

func (res *resource) isGone() bool {
	res.mu.Lock()
	defer res.mu.Unlock()
	return res.gone
}

// Notify implements control.Sink; there is nobody to tell.
func (res *resource) Notify(*api.Notify) {}

// Message implements control.Sink; there is nobody to tell.
func (res *resource) Message(*api.Message) {}

// Goodbye implements control.Sink: the link failed, or the conference is over.
func (res *resource) Goodbye(g api.Goodbye) {
	res.h.ending.Add(1)
	go func() { // the focus is in a call: answer it from outside
		defer res.h.ending.Done()
		res.end(g.Reason)
	}()
}

// attached notes that the Port knows the session; false if it was ended before.
func (res *resource) attached() bool {
	res.mu.Lock()
	defer res.mu.Unlock()
	res.known = true
	return !res.gone
}

// end forgets the resource and tells the Port, once; false if it was over.
func (res *resource) end(why string) bool {
	h := res.h
	h.mu.Lock()
	delete(h.resources, res.id)
	if h.devices[res.key()] == res {
		delete(h.devices, res.key())
	}
	h.mu.Unlock()
	res.mu.Lock()
	was, known := res.gone, res.known
	res.gone = true
	res.mu.Unlock()
	if was {
		return false
	}
	if known {
		h.cfg.Port.Closed(res.caller.Session, why)
	}
	h.cfg.Log.Debug("resource ended", "session", res.caller.Session, "dialect", res.target.kind, "reason", why)
	return true
}

// find returns the resource of a request if the caller may have it. The very
// token it was made with is good even after it expired, so that an encoder can
// end a long session; another token must be valid and of the same subject.
func (h *Handler) find(r *http.Request, t target) (*resource, error) {
	h.mu.Lock()
	res := h.resources[t.resource]
	h.mu.Unlock()
	token := bearer(r)
	if res != nil && (res.target.kind != t.kind || res.target.conf != t.conf) {
		res = nil
	}
	if res != nil && res.token == nil { // made without a token: the address is the right
		return res, nil
	}
	if res != nil && token != "" {
		sum := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(sum[:], res.token[:]) == 1 {
			return res, nil
		}
	}
	by, err := h.cfg.Auth.Authenticate(token, "", h.cfg.AddrOf(r))
	if err != nil {
		return nil, err
	}
	if res == nil || by.Subject != res.caller.By.Subject {
		return nil, errNotFound()
	}
	return res, nil
}

// delete ends the resource (RFC 9725, section 4.2).
func (h *Handler) delete(w http.ResponseWriter, r *http.Request, t target) error {
	res, err := h.find(r, t)
	if err != nil {
		return err
	}
	if !res.end("deleted") {
		return errNotFound()
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// patch takes trickled candidates (204) or restarts ICE (200) (RFC 9725,
// sections 4.3.2 and 4.3.3).
func (h *Handler) patch(w http.ResponseWriter, r *http.Request, t target) error {
	res, err := h.find(r, t)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, typeFragment, maxFragment)
	if err != nil {
		return err
	}
	match := strings.TrimSpace(r.Header.Get("If-Match"))
	if match == "" {
		return fault.New(428, "precondition-required", "If-Match is needed")
	}
	res.patching.Lock()
	defer res.patching.Unlock()
	if !res.matches(match) {
		return fault.New(412, "stale", "Another ICE session is current")
	}
	frag, err := sdp.ParseTrickleFragment(body)
	if err != nil {
		return err
	}
	if frag.ICE.Ufrag == "" || frag.ICE == res.offer.creds {
		w.WriteHeader(http.StatusNoContent) // candidates: the server is lite and needs none
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Wait)
	defer cancel()
	return res.restart(ctx, w, frag.ICE)
}

func (res *resource) matches(match string) bool {
	if match == "*" {
		return true
	}
	res.mu.Lock()
	defer res.mu.Unlock()
	for _, one := range strings.Split(match, ",") {
		if strings.TrimSpace(one) == res.etag {
			return true
		}
	}
	return false
}

// restart renegotiates with new credentials: for the focus a restart is an
// offer, so the first one is sent again with them. Needs patching.
func (res *resource) restart(ctx context.Context, w http.ResponseWriter, creds plane.ICECreds) error {
	text := withCreds(res.offer.text, creds)
	res.mu.Lock()
	ms := res.ms
	res.mu.Unlock()
	resp, err := res.do(ctx, api.MediaOffer, &api.OfferParams{MS: ms, SDP: text, Tracks: res.offer.cids})
	if err != nil {
		return err
	}
	var a api.AnswerResult
	if err := result(resp, &a); err != nil {
		if e := fault.From(err); e.Code == 405 || e.Code == 501 {
			return fault.New(422, "bad-sdp", "ICE restart is not possible here")
		}
		return err
	}
	frag, err := answerFragment(a.SDP)
	if err != nil {
		return err
	}
	next := *res.offer
	next.text, next.creds = text, creds
	res.offer = &next
	etag := newETag()
	res.mu.Lock()
	res.etag = etag
	res.mu.Unlock()
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", typeFragment)
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, frag)
	return nil
}

// withCreds replaces the ICE credentials in every place of an offer. They were
// checked by the parser and hold no line break.
func withCreds(text string, creds plane.ICECreds) string {
	lines := strings.SplitAfter(text, "\n")
	var out strings.Builder
	for _, l := range lines {
		end := l[len(strings.TrimRight(l, "\r\n")):]
		switch {
		case strings.HasPrefix(l, "a=ice-ufrag:"):
			l = "a=ice-ufrag:" + creds.Ufrag + end
		case strings.HasPrefix(l, "a=ice-pwd:"):
			l = "a=ice-pwd:" + creds.Pwd.Reveal() + end
		case strings.HasPrefix(l, "a=candidate:"), strings.HasPrefix(l, "a=end-of-candidates"):
			continue // of the old ICE session
		}
		out.WriteString(l)
	}
	return out.String()
}

// answerFragment takes the server's new ICE lines out of an answer.
func answerFragment(text string) (string, error) {
	d, err := sdp.Parse([]byte(text))
	if err != nil {
		return "", fault.New(500, "server-error", "internal error")
	}
	tr := d.Transport()
	f := sdp.TrickleFragment{ICE: tr.ICE, Bundle: d.Bundle, Lite: true}
	for _, mid := range d.Bundle {
		if s := d.Section(mid); s != nil && s.Active() {
			f.Sections = []sdp.FragmentSection{{MID: mid, Media: s.Media, Candidates: tr.Candidates, End: true}}
			break
		}
	}
	return f.String(), nil
}

func msToDuration(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// Shutdown ends every resource and refuses new ones.
func (h *Handler) Shutdown(why string) {
	h.mu.Lock()
	h.stopped = true
	list := make([]*resource, 0, len(h.resources))
	for _, res := range h.resources {
		list = append(list, res)
	}
	h.mu.Unlock()
	for _, res := range list {
		res.end(why)
	}
	h.ending.Wait()
}

// Live returns how many resources there are.
func (h *Handler) Live() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.resources)
}

// Sessions lists the sessions of live resources, for tests and the admin.
func (h *Handler) Sessions() []ids.Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]ids.Session, 0, len(h.resources))
	for _, res := range h.resources {
		list = append(list, res.caller.Session)
	}
	return list
}
