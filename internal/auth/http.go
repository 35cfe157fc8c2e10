package auth

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/base/strictjson"
)

// maxBody bounds the requests of this surface; they hold one token at most.
const maxBody = maxToken + 2<<10

// Handler serves POST /auth/exchange and POST /auth/invite. addrOf tells the
// client's address; nil: the connection's.
func (a *Authenticator) Handler(addrOf func(*http.Request) netip.Addr) http.Handler {
	if addrOf == nil {
		addrOf = remoteAddr
	}
	mux := http.NewServeMux()
	for path, f := range map[string]func(*http.Request, netip.Addr) (any, error){
		"/auth/exchange": a.exchange,
		"/auth/invite":   a.invite,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			if r.Method != http.MethodPost {
				w.Header().Set("Allow", "POST")
				respond(w, nil, fault.New(405, "method-not-allowed", "Use POST"))
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			result, err := f(r, addrOf(r))
			respond(w, result, err)
		})
	}
	return mux
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}

type exchangeRequest struct {
	Owner  string `json:"owner"`
	Invite string `json:"invite"`
	Name   string `json:"name"`
}

// Exchanged answers POST /auth/exchange.
type Exchanged struct {
	Token string   `json:"token"`
	Exp   int64    `json:"exp"` // seconds since 1970
	User  string   `json:"user"`
	Name  string   `json:"name,omitempty"`
	Role  api.Role `json:"role"`
	Room  string   `json:"room,omitempty"`
}

// exchange turns the owner's key, an invite code or, with --dev, a name into an
// access token. Whoever keeps the token keeps the identity over a reload.
func (a *Authenticator) exchange(r *http.Request, addr netip.Addr) (any, error) {
	var req exchangeRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	c, err := a.identify(&req, addr)
	if err != nil {
		return nil, err
	}
	token, exp, err := a.Mint(c, accessTTL)
	if err != nil {
		return nil, err
	}
	return &Exchanged{Token: token, Exp: exp.Unix(), User: c.Subject, Name: c.Name, Role: c.Role, Room: c.Room}, nil
}

func (a *Authenticator) identify(req *exchangeRequest, addr netip.Addr) (Claims, error) {
	switch {
	case req.Owner != "" && req.Invite != "":
		return Claims{}, fault.New(400, "bad-request", "Give owner or invite, not both")
	case req.Owner != "":
		if !a.isOwner(req.Owner) {
			return Claims{}, a.refuse(addr)
		}
		return Claims{Subject: newSubject("owner"), Name: CleanName(req.Name), Role: api.RoleOwner}, nil
	case req.Invite != "":
		c, _, err := a.keys.verify(req.Invite, useInvite, a.cfg.Now)
		if err != nil {
			return Claims{}, a.refuse(addr)
		}
		return Claims{Subject: newSubject("guest"), Name: orGuest(req.Name), Room: c.Room, Role: c.Role}, nil
	case a.cfg.Dev:
		return a.guest(req.Name), nil
	}
	return Claims{}, a.refuse(addr)
}

type inviteRequest struct {
	Room     string   `json:"room"`
	Role     api.Role `json:"role"`
	ExpiresS int64    `json:"expiresS"`
}

// Invited answers POST /auth/invite.
type Invited struct {
	Invite string `json:"invite"`
	Exp    int64  `json:"exp"`
}

// invite makes a code for a room. The caller must be its moderator or owner and
// cannot give more than it has.
func (a *Authenticator) invite(r *http.Request, addr netip.Addr) (any, error) {
	by, err := a.Authenticate(Bearer(r), "", addr)
	if err != nil {
		return nil, err
	}
	req := inviteRequest{Role: api.RoleAttendee}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if !ids.ValidName(req.Room) || rank[req.Role] == 0 || req.ExpiresS < 0 {
		return nil, fault.New(400, "bad-request", "room, role or expiresS is not valid")
	}
	if rank[by.Role] < rank[api.RoleModerator] || rank[req.Role] > rank[by.Role] || by.Room != "" && by.Room != req.Room {
		return nil, fault.New(403, "forbidden", "This token cannot give that invite")
	}
	ttl := inviteTTL
	if req.ExpiresS > 0 {
		ttl = min(max(time.Duration(min(req.ExpiresS, int64(maxInviteTTL/time.Second)))*time.Second, minInviteTTL), maxInviteTTL)
	}
	code, err := a.Invite(req.Room, req.Role, ttl)
	if err != nil {
		return nil, err
	}
	return &Invited{Invite: code, Exp: a.cfg.Now().Add(ttl).Unix()}, nil
}

// Bearer returns the token of the Authorization header (RFC 6750, section 2.1);
// empty when there is none or another scheme.
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func decode(r *http.Request, v any) error {
	b, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fault.New(413, "too-large", "The body is too large")
	}
	if err != nil {
		return fault.New(400, "bad-request", "The body could not be read")
	}
	if err := strictjson.Check(b); err != nil {
		return fault.New(400, "bad-request", "%s", err.Error())
	}
	if json.Unmarshal(b, v) != nil {
		return fault.New(400, "bad-request", "A field has the wrong type")
	}
	return nil
}

func respond(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err == nil {
		_ = json.NewEncoder(w).Encode(result) // the client is gone if this fails
		return
	}
	e := fault.From(err)
	if e.Code == 401 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="parley"`)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(e.Code)
	_ = json.NewEncoder(w).Encode(&api.Error{Code: e.Code, Reason: e.Reason, Message: e.Message, RetryAfterMs: e.RetryAfter.Milliseconds()})
}
