package control

import (
	"encoding/json"

	"parley/api"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// Internal facts: commands that only the machine's owner gives.
const (
	SessionSuspended = "session.suspended"
	SessionResumed   = "session.resumed"
	SessionClosed    = "session.closed"
	JoinUndone       = "join.undone"
	MediaNegotiated  = "media.negotiated"
	MediaRefused     = "media.refused"
	MediaReset       = "media.reset"
	LinkChanged      = "link.changed"
	TrackHeard       = "track.heard"
	TrackLost        = "track.lost"
	SubDenied        = "subscription.denied"
	NodeStopping     = "node.stopping"
	LeaseLost        = "lease.lost"
	LinkWeak         = "link.weak"
)

// handler is one row of the command table.
type handler struct {
	who      policy.Who
	internal bool
	ended    bool // may be given to a conference that has ended
	message  bool // may be given as a message, which nothing answers
	decode   func(json.RawMessage) (any, error)
	run      func(*Machine, *turn, any) (any, error)
}

// Callers of a row. The rest is in the handlers, where it depends on state.
var (
	anyJoined = policy.Who{Min: api.RoleObserver}
	orService = policy.Who{Min: api.RoleObserver, Service: true}
	publisher = policy.Who{Min: api.RoleAttendee}
	moderator = policy.Who{Min: api.RoleModerator, Service: true}
	outside   = policy.Who{Outside: true}
)

// table has one row per method of section 4.5 and per internal fact.
var table map[string]handler

func init() { // in init, since handlers refer to the table through Decode
	table = map[string]handler{
		api.ConferenceStart:  row(outside, startConference).whenEnded(),
		api.ConferenceEnd:    row(outside, endConference).whenEnded(),
		api.ConferenceJoin:   row(outside, join),
		api.ConferenceLeave:  row(outside, leave).whenEnded(),
		api.MediaOffer:       row(anyJoined, offer),
		api.MediaAnswer:      row(anyJoined, answer),
		api.MediaCandidate:   row(anyJoined, candidate),
		api.MediaRestartICE:  row(orService, restartICE),
		api.TrackPublish:     row(publisher, publish),
		api.TrackUnpublish:   row(anyJoined, unpublish),
		api.TrackSubscribe:   row(anyJoined, subscribe),
		api.TrackUnsubscribe: row(anyJoined, unsubscribe),
		api.TrackMute:        row(orService, mute),
		api.TrackUnmute:      row(orService, unmute),
		api.UnmuteDecline:    row(publisher, declineUnmute).asMessage(),

		api.PolicySet:          row(moderator, setPolicy),
		api.ConferenceLock:     row(moderator, lock),
		api.ConferenceUnlock:   row(moderator, unlock),
		api.LobbyAdmit:         row(moderator, admitWaiting),
		api.LobbyReject:        row(moderator, rejectWaiting),
		api.ParticipantSetRole: row(moderator, setRole),
		api.ParticipantExpel:   row(moderator, expel),
		api.HandRaise:          row(anyJoined, raiseHand),
		api.HandLower:          row(orService, lowerHand),
		api.FloorRequestMethod: row(anyJoined, requestFloor),
		api.FloorGrant:         row(orService, grantFloor),
		api.FloorDeny:          row(orService, denyFloor),
		api.FloorRevoke:        row(orService, revokeFloor),
		api.FloorRelease:       row(orService, releaseFloor),
		api.PresenceUpdate:     row(anyJoined, updatePresence).asMessage(),
		api.ChatSend:           row(anyJoined, sendChat).asMessage(),

		api.ConferenceStatus:    row(outside, status).whenEnded(),
		api.ParticipantInvite:   row(orService, invite),
		api.ParticipantTransfer: row(orService, transfer),
		api.LayoutSet:           row(anyJoined, setLayout),
		api.SidebarCreate:       row(orService, createSidebar),
		api.SidebarJoin:         row(anyJoined, joinSidebar),
		api.SidebarEnd:          row(orService, endSidebar),
		api.RecordingStart:      row(moderator, startRecording),
		api.RecordingStop:       row(moderator, stopRecording),
		api.RecordingConsent:    row(anyJoined, consent),
		api.DeviceAdd:           row(anyJoined, addDevice),
		api.DeviceUpdate:        row(anyJoined, updateDevice),
		api.DeviceRemove:        row(orService, removeDevice),
		api.MediaSync:           row(anyJoined, syncMedia),
		api.TopologySet:         row(moderator, setTopology),
		api.E2EESend:            row(anyJoined, sendKeys),
		api.MediaPeerState:      row(anyJoined, peerState),
		api.MediaPeerEnd:        row(anyJoined, peerEnd),

		SidebarOpened:    fact(sidebarOpened),
		SidebarClosing:   fact(sidebarClosing),
		SidebarClosed:    fact(sidebarClosed),
		SidebarShown:     fact(sidebarShown),
		GuestExpected:    fact(guestExpected),
		GuestWithdrawn:   fact(guestWithdrawn),
		GuestArrived:     fact(guestArrived),
		GuestGone:        fact(guestGone),
		Dialled:          fact(dialled),
		RecordingChanged: fact(recordingChanged),

		SessionSuspended: fact(sessionSuspended),
		SessionResumed:   fact(sessionResumed),
		SessionClosed:    fact(sessionClosed),
		JoinUndone:       fact(joinUndone),
		MediaNegotiated:  fact(negotiated),
		MediaRefused:     fact(refused),
		MediaReset:       fact(mediaReset),
		LinkChanged:      fact(linkChanged),
		TrackHeard:       fact(trackHeard),
		TrackLost:        fact(trackLost),
		SubDenied:        fact(subDenied),
		NodeStopping:     fact(nodeStopping),
		LeaseLost:        fact(leaseLost),
		LinkWeak:         fact(weakened),
		LayersWanted:     fact(layersWanted),
	}
}

// row makes a client's command out of a handler with typed parameters.
func row[P any](who policy.Who, run func(*Machine, *turn, P) (any, error)) handler {
	return handler{
		who: who,
		decode: func(raw json.RawMessage) (any, error) {
			var p P
			err := decodeParams(raw, &p)
			return p, err
		},
		run: typed(run),
	}
}

// fact makes an internal command out of a handler.
func fact[P any](run func(*Machine, *turn, P) (any, error)) handler {
	return handler{internal: true, run: typed(run)}
}

func typed[P any](run func(*Machine, *turn, P) (any, error)) func(*Machine, *turn, any) (any, error) {
	return func(m *Machine, t *turn, params any) (any, error) {
		p, ok := params.(P)
		if !ok {
			return nil, errBadParams("parameters of another method")
		}
		return run(m, t, p)
	}
}

func (h handler) whenEnded() handler {
	h.ended = true
	return h
}

func (h handler) asMessage() handler {
	h.message = true
	return h
}

// OneWay reports whether a method may be given as a message.
func OneWay(method string) bool { return table[method].message }

// Decode parses a client's parameters. A method that clients cannot give is
// unknown here.
func Decode(method string, raw json.RawMessage) (any, error) {
	h, ok := table[method]
	if !ok || h.internal {
		return nil, errUnknownMethod()
	}
	return h.decode(raw)
}

// Methods lists what clients can ask for, in no order.
func Methods() []string {
	var out []string
	for name, h := range table {
		if !h.internal {
			out = append(out, name)
		}
	}
	return out
}

// admit checks what is the same for every command: the conference's phase, and
// the caller's being in it with a role that may.
func (h handler) admit(m *Machine, t *turn) error {
	t.dev = m.bySession[t.caller.Session]
	if h.internal {
		return nil
	}
	switch {
	case m.superseded:
		return errSuperseded()
	case m.conf.Phase == model.Ended && !h.ended:
		return errGone()
	case h.who.Outside:
		return nil
	case m.conf.Phase == model.Scheduled:
		return errNotFound()
	case t.dev == nil && h.who.Service && t.caller.By.Service:
		return nil
	case t.dev == nil:
		return errNotJoined()
	case !h.who.Allows(t.dev.Part.Role):
		return errForbidden()
	}
	return nil
}
