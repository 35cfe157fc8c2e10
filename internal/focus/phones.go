package focus

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
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

// Phones are endpoints of plain RTP: they are in a conference by command of
// somebody else, so the focus holds a session for each.

// RTPRequest asks for a plain RTP endpoint.
type RTPRequest struct {
	Open api.RTPOpen
	Addr netip.Addr // of who asked, for limits
}

// phones are the sessions that the focus holds itself.
type phones struct {
	mu   sync.Mutex
	byID map[string]*phone // guarded by mu
}

// phone is the session of one endpoint.
type phone struct {
	f      *Focus
	id     string
	uri    string
	caller control.Caller
	once   sync.Once
}

var _ control.Sink = (*phone)(nil)

// Notify implements control.Sink; a phone subscribes to nothing.
func (*phone) Notify(*api.Notify) {}

// Message implements control.Sink.
func (*phone) Message(*api.Message) {}

// Goodbye implements control.Sink. The focus is in a call: what follows is done
// from outside.
func (p *phone) Goodbye(g api.Goodbye) {
	go p.end(g.Reason)
}

// end closes the session, once.
func (p *phone) end(why string) {
	p.once.Do(func() {
		p.f.phones.mu.Lock()
		delete(p.f.phones.byID, p.id)
		p.f.phones.mu.Unlock()
		p.f.Closed(p.caller.Session, why)
	})
}

// call is what a room is asked about a phone, beside its command.
type plainCall struct {
	offer    *sdp.Plain
	latch    bool
	anywhere bool // latch was asked for
	group    *groupOf
	lines    map[string]string // mid → cid, of what it sends
}

// rtpOffer is the method of a later offer; not a client's.
const rtpOffer = "rtp.offer"

// OpenRTP makes a plain RTP endpoint a participant of a running conference. The
// error is a *fault.Error.
func (f *Focus) OpenRTP(ctx context.Context, uri string, q RTPRequest) (api.RTPLeg, error) {
	call, err := readCall(&q.Open)
	if err != nil {
		return api.RTPLeg{}, err
	}
	_, id, _ := strings.Cut(string(ids.NewConnection()), "_")
	p := &phone{f: f, id: id, uri: uri}
	// Who brings it in may administer the conference: neither lock nor lobby hold
	// it up, and it comes in with the role that was asked for.
	p.caller = control.Caller{Session: ids.NewSession(), Dialect: "rtp", Addr: q.Addr, By: control.Principal{
		Subject: orText(q.Open.User, "rtp:"+id), Name: orText(q.Open.Name, "Phone"), Role: api.RoleModerator, Room: uri, Trusted: true,
	}}
	join := api.JoinParams{
		Device: "rtp-" + id, Kind: "rtp", Label: q.Open.Label, Role: q.Open.Role, Name: q.Open.Name, Subscribe: "slots",
		Tracks: f.allowed(call.publishes(), q.Open.Role), Caps: api.Caps{Group: call.group != nil},
	}
	f.Attach(p.caller, p)
	f.phones.mu.Lock()
	if f.phones.byID == nil {
		f.phones.byID = map[string]*phone{}
	}
	f.phones.byID[id] = p
	f.phones.mu.Unlock()
	raw, err := p.do(ctx, &item{method: api.ConferenceJoin, params: join, plain: call})
	if err != nil {
		p.end("refused")
		return api.RTPLeg{}, err
	}
	var jr api.JoinResult
	if err := json.Unmarshal(raw, &jr); err != nil || jr.Answer == nil {
		p.end("refused")
		return api.RTPLeg{}, fault.New(500, "server-error", "no answer")
	}
	leg, err := f.RTP(ctx, uri, id)
	leg.SDP = jr.Answer.SDP
	return leg, err
}

// allowed leaves out what a role may not publish; its lines are answered without.
func (f *Focus) allowed(list []api.PublishParams, role api.Role) []api.PublishParams {
	return slices.DeleteFunc(list, func(p api.PublishParams) bool { return !f.cfg.Policy.MayPublish(role, p.Source) })
}

func orText(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

// phonePatience is below the server's time for writing an answer.
const phonePatience = 15 * time.Second

// do runs one item of the phone's session and waits.
func (p *phone) do(ctx context.Context, it *item) (json.RawMessage, error) {
	final := make(chan *api.Response, 1)
	it.caller, it.uri, it.at = p.caller, p.uri, p.f.cfg.Clock.Now()
	it.reply = func(r *api.Response) {
		if r.Final {
			final <- r
		}
	}
	ctx, cancel := context.WithTimeout(ctx, phonePatience)
	defer cancel()
	p.f.route(it)
	select {
	case r := <-final:
		if e := r.Error; e != nil {
			return nil, &fault.Error{Code: e.Code, Reason: e.Reason, Message: e.Message, Data: e.Data, RetryAfter: time.Duration(e.RetryAfterMs) * time.Millisecond}
		}
		return r.Result, nil
	case <-ctx.Done():
		return nil, fault.New(504, "timeout", "the conference did not answer in time")
	}
}

// find returns the phone of a conference.
func (f *Focus) phone(uri, id string) (*phone, error) {
	f.phones.mu.Lock()
	defer f.phones.mu.Unlock()
	if p := f.phones.byID[id]; p != nil && p.uri == uri {
		return p, nil
	}
	return nil, fault.New(404, "not-found", "no such RTP endpoint")
}

// OfferRTP answers another offer of an endpoint.
func (f *Focus) OfferRTP(ctx context.Context, uri, id string, body []byte) (api.RTPLeg, error) {
	p, err := f.phone(uri, id)
	if err != nil {
		return api.RTPLeg{}, err
	}
	d, err := sdp.ParsePlain(body)
	if err != nil {
		return api.RTPLeg{}, err
	}
	raw, err := p.do(ctx, &item{method: rtpOffer, plain: &plainCall{offer: d}})
	if err != nil {
		return api.RTPLeg{}, err
	}
	var a api.AnswerResult
	if err := json.Unmarshal(raw, &a); err != nil {
		return api.RTPLeg{}, err
	}
	leg, err := f.RTP(ctx, uri, id)
	leg.SDP = a.SDP
	return leg, err
}

// CloseRTP lets an endpoint leave.
func (f *Focus) CloseRTP(ctx context.Context, uri, id string) error {
	p, err := f.phone(uri, id)
	if err != nil {
		return err
	}
	_, err = p.do(ctx, &item{method: api.ConferenceLeave, params: api.LeaveParams{}})
	p.end("leave")
	if fault.From(err) != nil && fault.From(err).Code == 504 {
		return err
	}
	return nil
}

// maxKeys bounds one request.
const maxKeys = 32

// defaultKey is how long a key is held when nothing is said.
const defaultKey = 160 * time.Millisecond

// PressRTP sends keys to an endpoint as telephone events.
func (f *Focus) PressRTP(ctx context.Context, uri, id string, k api.RTPKeys) error {
	p, err := f.phone(uri, id)
	if err != nil {
		return err
	}
	pad, ok := f.cfg.Plane.(plane.Keypad)
	if !ok {
		return fault.New(501, "not-implemented", "no telephone events here")
	}
	if k.Keys == "" || len(k.Keys) > maxKeys || strings.Trim(k.Keys, "0123456789*#ABCDabcd!") != "" {
		return fault.New(400, "bad-request", "keys: must be 1 to %d of 0-9 * # A-D !", maxKeys)
	}
	each := defaultKey
	if k.DurationMs != 0 {
		each = time.Duration(k.DurationMs) * time.Millisecond
	}
	if each < 40*time.Millisecond || each > 6*time.Second {
		return fault.New(400, "bad-request", "durationMs: must be 40 to 6000")
	}
	leg, err := f.RTP(ctx, uri, p.id)
	if err != nil {
		return err
	}
	for _, s := range leg.Streams {
		if s.Kind == "audio" && s.Conn != "" {
			return pad.PressKeys(ids.Connection(s.Conn), k.Keys, each)
		}
	}
	return fault.New(409, "no-telephone-event", "the endpoint has no sound")
}

// RTP describes an endpoint.
func (f *Focus) RTP(ctx context.Context, uri, id string) (api.RTPLeg, error) {
	list, err := f.RTPs(ctx, uri)
	for i := range list {
		if list[i].ID == id {
			return list[i], nil
		}
	}
	if err == nil {
		err = fault.New(404, "not-found", "no such RTP endpoint")
	}
	return api.RTPLeg{}, err
}

// RTPs lists the endpoints of a running conference.
func (f *Focus) RTPs(ctx context.Context, uri string) ([]api.RTPLeg, error) {
	f.mu.RLock()
	r := f.byURI[uri]
	f.mu.RUnlock()
	if r == nil {
		return nil, errNotRunning()
	}
	got := make(chan []api.RTPLeg, 1)
	gone := make(chan struct{}, 1)
	it := &item{look: func(r *room) { got <- r.describePlain() }, reply: func(*api.Response) { gone <- struct{}{} }}
	if err := r.box.put(it); err != nil {
		return nil, fault.From(err)
	}
	select {
	case list := <-got:
		for i := range list {
			f.measurePlain(&list[i])
		}
		return list, nil
	case <-gone:
		return nil, errNotRunning()
	case <-ctx.Done():
		return nil, fault.New(504, "timeout", "the conference did not answer in time")
	}
}

// measurePlain asks the media side, outside of any conference's loop.
func (f *Focus) measurePlain(leg *api.RTPLeg) {
	for i := range leg.Streams {
		s := &leg.Streams[i]
		st, ok := f.cfg.Plane.Stats(ids.Connection(s.Conn))
		if s.Conn == "" || !ok {
			continue
		}
		s.PacketsIn, s.PacketsOut = st.PacketsIn, st.PacketsOut
		if st.RemoteAddr.IsValid() {
			s.Heard = st.RemoteAddr.String()
		}
	}
}
