package model

// Edge is one step of a life cycle. An empty From is the start.
type Edge struct{ From, To, When string }

// LifeCycle is an object's states and the ways between them.
type LifeCycle struct {
	Name  string
	Edges []Edge
}

// Names of the life cycles.
const (
	LifeConference   = "Conference"
	LifeSession      = "Session"
	LifeParticipant  = "Participant"
	LifeEndpoint     = "Device"
	LifeConnection   = "Connection"
	LifeMedia        = "MediaSession"
	LifePeer         = "PeerSession"
	LifeTrack        = "Track"
	LifeSubscription = "Subscription"
	LifeFloor        = "Floor request"
	LifeRecording    = "Recording"
)

// LifeCycles are all of them, in the order of docs/state-machines.md, which
// draws them. What is in here is what the machine does; a test sees to both.
var LifeCycles = []LifeCycle{
	{LifeConference, []Edge{
		{"", "scheduled", "made, or read from its definition"},
		{"scheduled", "active", "start, or the first join that may"},
		{"active", "ending", "end with afterS"},
		{"active", "ended", "end; empty for 300 s; its main conference ended"},
		{"ending", "ended", "the time is over, or the last one left"},
		{"scheduled", "ended", "the node stops"},
	}},
	{LifeSession, []Edge{
		{"", "ok", "hello and join"},
		{"ok", "suspended", "the socket is lost"},
		{"suspended", "ok", "resume"},
	}},
	{LifeParticipant, []Edge{
		{"", "invited", "participant.invite"},
		{"", "lobby", "join where newcomers wait"},
		{"", "joined", "join"},
		{"invited", "joined", "the person joins"},
		{"invited", "lobby", "the person joins where newcomers wait"},
		{"invited", "left", "nobody came, or the call failed"},
		{"lobby", "joined", "admit"},
		{"lobby", "left", "reject, expel, or gone"},
		{"joined", "left", "the last device is gone"},
		{"left", "joined", "back while the row lingers"},
		{"left", "lobby", "back into the lobby while the row lingers"},
		{"left", "invited", "invited again while the row lingers"},
	}},
	{LifeEndpoint, []Edge{
		{"", "pending", "invite, or device.add"},
		{"", "on-hold", "join into the lobby"},
		{"", "connected", "join"},
		{"", "muted-via-focus", "join while a moderator holds every medium muted"},
		{"pending", "dialing-out", "the focus calls"},
		{"pending", "connected", "the announced device joins"},
		{"pending", "on-hold", "it joins into the lobby"},
		{"pending", "muted-via-focus", "it joins while a moderator holds every medium muted"},
		{"pending", "disconnected", "nobody came"},
		{"dialing-out", "alerting", "180"},
		{"dialing-out", "connected", "answer"},
		{"dialing-out", "disconnected", "failed, busy, cancelled"},
		{"alerting", "connected", "answer"},
		{"alerting", "disconnected", "declined, busy, cancelled"},
		{"on-hold", "connected", "admit, or back from a sidebar"},
		{"on-hold", "muted-via-focus", "back, and muted by a moderator"},
		{"connected", "on-hold", "moved to a sidebar or elsewhere"},
		{"muted-via-focus", "on-hold", "moved to a sidebar or elsewhere"},
		{"connected", "muted-via-focus", "the focus mutes every medium of it"},
		{"muted-via-focus", "connected", "one of them may be heard again"},
		{"connected", "disconnected", "leave, expel, end, grace over"},
		{"muted-via-focus", "disconnected", "leave, expel, end, grace over"},
		{"on-hold", "disconnected", "leave, reject, expel, end, grace over"},
		{"disconnected", "connected", "back while the row lingers"},
		{"disconnected", "muted-via-focus", "back while the row lingers, still muted"},
		{"disconnected", "on-hold", "back into the lobby while the row lingers"},
		{"disconnected", "pending", "announced or invited again while the row lingers"},
	}},
	{LifeConnection, []Edge{
		{"", "new", "join, or a fresh peer connection"},
		{"new", "connecting", "offer answered"},
		{"connecting", "connected", "ICE and DTLS are through"},
		{"new", "connected", "the same, seen before the answer was committed"},
		{"connected", "disconnected", "no consent, no packets"},
		{"disconnected", "connected", "packets again, or an ICE restart"},
		{"connecting", "failed", "nobody came in time"},
		{"connecting", "disconnected", "silence before the first packet"},
		{"new", "disconnected", "the same, before the answer was committed"},
		{"new", "failed", "the media side gave up before the answer was committed"},
		{"connected", "failed", "closed by the other side"},
		{"disconnected", "failed", "15 s"},
		{"failed", "connected", "a late restart"},
		{"failed", "disconnected", "a late restart that came to nothing yet"},
		{"failed", "new", "an offer makes a fresh connection"},
		{"connected", "new", "an offer with another certificate, or peers carry its media"},
		{"connecting", "new", "an offer with another certificate"},
		{"disconnected", "new", "an offer with another certificate"},
		{"new", "closed", "its media session is closed"},
		{"connecting", "closed", "its media session is closed"},
		{"connected", "closed", "its media session is closed"},
		{"disconnected", "closed", "its media session is closed"},
		{"failed", "closed", "30 s, or its media session is closed"},
	}},
	{LifeMedia, []Edge{
		{"", "stable", "join"},
		{"stable", "have-remote-offer", "offer in"},
		{"have-remote-offer", "stable", "answer out, or the offer refused"},
		{"stable", "closed", "leave, expel, replaced, end"},
		{"have-remote-offer", "closed", "leave, expel, replaced, end"},
	}},
	{LifePeer, []Edge{
		{"", "have-local-offer", "the first offer, to the other device"},
		{"have-local-offer", "stable", "its answer"},
		{"stable", "have-local-offer", "an offer of either"},
		{"stable", "closed", "one of the two is gone, ends it, or the server serves them again"},
		{"have-local-offer", "closed", "one of the two is gone, ends it, or the server serves them again"},
	}},
	{LifeTrack, []Edge{
		{"", "announced", "publish"},
		{"announced", "live", "section and first packet"},
		{"announced", "ended", "unpublish, device gone"},
		{"live", "ended", "unpublish, BYE, device gone, right lost"},
	}},
	{LifeSubscription, []Edge{
		{"", "requested", "subscribe, or everything by itself"},
		{"requested", "active", "a section carries it"},
		{"requested", "paused", "a section carries it, and it is wanted paused"},
		{"active", "paused", "paused by its owner, or away in a sidebar"},
		{"paused", "active", "wanted again"},
		{"requested", "denied", "no codec in common"},
		{"active", "denied", "no codec in common any more"},
		{"paused", "denied", "no codec in common any more"},
		{"requested", "ended", "unsubscribe, or either end is gone"},
		{"active", "ended", "unsubscribe, or either end is gone"},
		{"paused", "ended", "unsubscribe, or either end is gone"},
	}},
	{LifeFloor, []Edge{
		{"", "pending", "request, a chair decides"},
		{"", "accepted", "request, in the queue"},
		{"", "granted", "request, the floor is free (FCFS)"},
		{"pending", "granted", "grant"},
		{"pending", "accepted", "grant, while the floor is full"},
		{"pending", "denied", "deny"},
		{"pending", "cancelled", "own release, or gone"},
		{"accepted", "granted", "next in the queue"},
		{"accepted", "denied", "deny"},
		{"accepted", "cancelled", "own release, or gone"},
		{"granted", "released", "release, or gone"},
		{"granted", "revoked", "revoke"},
	}},
	{LifeRecording, []Edge{
		{"", "starting", "recording.start; everybody is told"},
		{"starting", "running", "the first frame is stored"},
		{"starting", "failed", "stopped before it ran, or the recorder failed"},
		{"running", "paused", "the recorder pauses"},
		{"paused", "running", "the recorder goes on"},
		{"running", "stopping", "recording.stop"},
		{"paused", "stopping", "recording.stop"},
		{"running", "failed", "the recorder failed"},
		{"paused", "failed", "the recorder failed"},
		{"stopping", "stored", "the file is complete"},
		{"stopping", "failed", "the recorder failed"},
		{"stored", "starting", "recording.start"},
		{"failed", "starting", "recording.start"},
	}},
}

// Allowed reports whether a life cycle has a step from one state to another.
func Allowed(life, from, to string) bool {
	for _, l := range LifeCycles {
		if l.Name != life {
			continue
		}
		for _, e := range l.Edges {
			if e.From == from && e.To == to {
				return true
			}
		}
	}
	return false
}
