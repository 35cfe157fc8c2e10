package whip

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
)

// bearer returns the token of the Authorization header (RFC 6750, section 2.1).
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// post makes a resource: it joins with the offer and returns the answer.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, t target) error {
	token := bearer(r)
	by, err := h.cfg.Auth.Authenticate(token, r.URL.Query().Get("name"), h.cfg.AddrOf(r))
	if err != nil {
		return err
	}
	if by.Room != "" && by.Room != t.conf { // whether the room exists makes no difference
		return fault.New(403, "forbidden", "The token is for another conference")
	}
	body, err := readBody(w, r, typeSDP, h.cfg.MaxBody)
	if err != nil {
		return err
	}
	o, err := readOffer(t.kind, body)
	if err != nil {
		return err
	}
	res := &resource{
		h: h, id: ids.NewSecret().Reveal(), target: t, offer: o, etag: newETag(),
		caller: control.Caller{Session: ids.NewSession(), By: by, Dialect: t.kind, Addr: h.cfg.AddrOf(r)},
		device: deviceOf(r, t.kind, token != ""),
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		res.token = &sum
	}
	if err := h.enter(res); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Wait)
	defer cancel()
	answer, err := res.join(ctx)
	if err != nil {
		res.end("join refused")
		return err
	}
	return res.created(w, answer)
}

func readBody(w http.ResponseWriter, r *http.Request, want string, limit int64) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != want {
		return nil, fault.New(415, "unsupported-media", "Content-Type must be %s", want)
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fault.New(413, "too-large", "The body is over %d bytes", limit)
	case err != nil:
		return nil, fault.New(400, "bad-request", "The body could not be read")
	}
	return b, nil
}

// deviceOf names the device. A publisher with a token is one device unless it
// says otherwise (?device=cam2), so that a second POST of the same encoder is
// noticed; a viewer may watch as often as it likes.
func deviceOf(r *http.Request, kind string, known bool) string {
	if d := r.URL.Query().Get("device"); ids.ValidName(d) {
		return d
	}
	if kind == "whip" && known {
		return kind
	}
	_, random, _ := strings.Cut(string(ids.NewConnection()), "_")
	return kind + "-" + random
}

func newETag() string {
	_, random, _ := strings.Cut(string(ids.NewConnection()), "_")
	return `"` + random + `"`
}

// enter registers a resource before its join, so that a goodbye finds it.
func (h *Handler) enter(res *resource) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped || len(h.resources) >= h.cfg.MaxResources {
		return errBusy()
	}
	if res.target.kind == "whip" {
		if h.devices[res.key()] != nil {
			return fault.New(409, "duplicate", "This device publishes already; DELETE its resource first")
		}
		h.devices[res.key()] = res
	}
	h.resources[res.id] = res
	return nil
}

// join attaches the session and joins; a conference that is not active is
// started if the caller may. One that ends in between, because whoever was
// before us is refused, is no reason to say that it does not exist: come again.
func (res *resource) join(ctx context.Context) (*api.AnswerResult, error) {
	res.h.cfg.Port.Attach(res.caller, res)
	if !res.attached() { // stopped in between: nobody else will tell the Port
		res.h.cfg.Port.Closed(res.caller.Session, "stopped")
		return nil, errBusy()
	}
	params := res.joinParams()
	resp, err := res.do(ctx, api.ConferenceJoin, params)
	if err == nil && absent(resp) {
		started, serr := res.do(ctx, api.ConferenceStart, &api.StartParams{Mode: "either"})
		switch {
		case serr == nil && started.Code == 410:
			return nil, errBusy()
		case serr != nil || started.Code/100 != 2:
			return nil, errNotFound()
		}
		if resp, err = res.do(ctx, api.ConferenceJoin, params); err == nil && absent(resp) {
			return nil, errBusy()
		}
	}
	if err != nil {
		return nil, err
	}
	var joined api.JoinResult
	if err := result(resp, &joined); err != nil {
		return nil, err
	}
	if joined.Answer == nil {
		return nil, fault.New(500, "server-error", "internal error")
	}
	res.mu.Lock()
	res.ms = joined.MS
	res.mu.Unlock()
	return joined.Answer, nil
}

// absent tells that there is no conference, or none any more.
func absent(r *api.Response) bool { return r.Code == 404 || r.Code == 410 }

func (res *resource) joinParams() *api.JoinParams {
	p := &api.JoinParams{
		Device: res.device, Name: res.caller.By.Name, Kind: res.target.kind,
		Tracks: res.offer.tracks,
		Offer:  &api.OfferParams{SDP: res.offer.text, Tracks: res.offer.cids},
	}
	p.Subscribe = "none"
	if res.target.kind == "whep" {
		p.Subscribe, p.Role = "slots", api.RoleObserver
	}
	return p
}

// do runs one request and waits for its final response.
func (res *resource) do(ctx context.Context, method string, params any) (*api.Response, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	req := &api.Request{
		Kind: "request", ID: strings.Trim(newETag(), `"`), Method: method, Conf: res.target.conf, Params: raw,
		TTLMs: int(res.h.cfg.Wait.Milliseconds()),
	}
	final := make(chan *api.Response, 1)
	res.h.cfg.Port.Do(res.caller, req, func(r *api.Response) {
		if r.Final {
			select {
			case final <- r:
			default: // the contract says once
			}
		}
	})
	select {
	case r := <-final:
		return r, nil
	case <-ctx.Done():
		return nil, errBusy()
	}
}

// result reads a final response: its result, or its error.
func result(r *api.Response, v any) error {
	if r.Code/100 != 2 {
		e := fault.New(r.Code, "refused", "")
		if r.Error != nil {
			e.Reason, e.Message = r.Error.Reason, r.Error.Message
			e.RetryAfter = msToDuration(r.Error.RetryAfterMs)
		}
		return e
	}
	if v == nil || len(r.Result) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.Result, v); err != nil {
		return fault.From(err)
	}
	return nil
}

// created answers the POST (RFC 9725, section 4.2).
func (res *resource) created(w http.ResponseWriter, a *api.AnswerResult) error {
	if res.isGone() { // the conference ended while we answered
		return errNotFound()
	}
	hd := w.Header()
	hd.Set("Location", "/"+res.target.kind+"/"+res.target.conf+"/"+res.id)
	hd.Set("ETag", res.etag)
	hd.Set("Accept-Patch", typeFragment)
	hd.Set("Content-Type", typeSDP)
	hd.Set("Content-Length", strconv.Itoa(len(a.SDP))) // simple encoders cannot read chunks
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, a.SDP) // a client that is gone is noticed by its silent link
	return nil
}
