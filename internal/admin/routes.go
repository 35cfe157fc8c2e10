package admin

import (
	"net/http"

	"parley/api"
)

// route is one row of the API: everything the document says of it is here.
type route struct {
	method, path string
	id, summary  string
	public       bool // without a token
	query        []queryMember
	in           any // zero value of the body's type; nil: no body
	out          any // of the answer; nil: none
	code         int
	refusals     []int  // beside those of every route
	bare         string // media type of body and answer beside JSON; "": none
	run          func(*call) (any, error)
}

// queryMember is a member of the query or a header.
type queryMember struct{ name, in, kind, text string }

var (
	ifMatch  = queryMember{"If-Match", "header", "string", "ETag or revision that must still hold"}
	plainRTP = []queryMember{
		{"name", "query", "string", "With application/sdp: what the participant is called"},
		{"user", "query", "string", "With application/sdp: its identity; default a fresh one"},
		{"label", "query", "string", "With application/sdp: name of the device"},
		{"role", "query", "string", "With application/sdp: observer, attendee (default), presenter or moderator"},
		{"latch", "query", "boolean", "With application/sdp: false takes packets from the described host only, true from any that sends first"},
	}
	paging = []queryMember{
		{"state", "query", "string", "Any of scheduled, active, ended, with commas between"},
		{"q", "query", "string", "Text in name or title"},
		{"offset", "query", "integer", "First of the page"},
		{"limit", "query", "integer", "Length of the page, at most 1000; default 50"},
	}
)

// routes is the whole API.
var routes []route

func init() { // handlers refer to the table through the document
	routes = []route{
		{method: "GET", path: "/openapi.json", id: "document", summary: "This document", public: true, out: map[string]any{}, code: 200, run: document},
		{method: "GET", path: "/conferences", id: "listConferences", summary: "Conferences, newest first", query: paging, out: api.ConferenceList{}, code: 200, run: list},
		{
			method: "POST", path: "/conferences", id: "createConference", summary: "Define a conference, and start it if asked to",
			in: api.CreateConference{}, out: api.Definition{}, code: 201, refusals: []int{409}, run: create,
		},
		{method: "GET", path: "/conferences/{uri}", id: "getConference", summary: "A conference and, while it is active, how it goes", out: api.ConferenceDetail{}, code: 200, run: get},
		{
			method: "PATCH", path: "/conferences/{uri}", id: "patchConference", summary: "Change title, schedule, policy or bans",
			query: []queryMember{ifMatch}, in: api.PatchConference{}, out: api.Definition{}, code: 200, refusals: []int{409, 412}, run: patch,
		},
		{
			method: "DELETE", path: "/conferences/{uri}", id: "deleteConference", summary: "Forget a conference",
			query: []queryMember{{"end", "query", "boolean", "End it first if it is active"}}, code: 204, refusals: []int{409}, run: remove,
		},
		{
			method: "POST", path: "/conferences/{uri}/reopen", id: "reopenConference", summary: "Schedule an ended conference again",
			in: api.ReopenConference{}, out: api.Definition{}, code: 200, refusals: []int{409}, run: reopen,
		},
		live("participants", "People", api.Participants{}, participants),
		live("participants/{part}", "A person", api.ParticipantInfo{}, participant),
		live("devices", "Devices", api.Devices{}, devices),
		live("sessions", "Signalling sessions", api.Sessions{}, sessions),
		live("connections", "Transport associations with statistics", api.Connections{}, connections),
		live("connections/{conn}", "A transport association with statistics", api.ConnectionInfo{}, connection),
		live("statistics", "How media flow, by person,", api.ConferenceStatistics{}, statistics),
		live("participants/{part}/statistics", "How media flow to and from a person", api.ParticipantStatistics{}, participantStatistics),
		live("connections/{conn}/statistics", "How media flow on a transport association, stream by stream,", api.ConnectionReport{}, connectionStatistics),
		live("tracks", "Published sources", api.Tracks{}, tracks),
		{method: "GET", path: "/conferences/{uri}/topology", id: "getTopology", summary: "How media flows, and how each device is served", out: api.Topology{}, code: 200, refusals: []int{504}, run: topology},
		putTopology("PUT", "/conferences/{uri}/topology", "putTopology", "Choose how media flows", api.Topology{}, setTopology),
		putTopology("PATCH", "/conferences/{uri}/topology", "patchTopology", "Choose how media flows", api.Topology{}, setTopology),
		live("participants/{part}/devices/{device}/topology", "How a device is served, of a person", api.LegManner{}, deviceTopology),
		putTopology("PUT", "/conferences/{uri}/participants/{part}/devices/{device}/topology", "putDeviceTopology", "Choose how one device is served; an empty name takes the choice away", api.LegManner{}, setDeviceTopology),
		putTopology("PATCH", "/conferences/{uri}/participants/{part}/devices/{device}/topology", "patchDeviceTopology", "Choose how one device is served; an empty name takes the choice away", api.LegManner{}, setDeviceTopology),
		live("rtp", "Endpoints of plain RTP", api.RTPLegs{}, listRTP),
		live("rtp/{id}", "An endpoint of plain RTP", api.RTPLeg{}, getRTP),
		{
			method: "POST", path: "/conferences/{uri}/rtp", id: "openRTP", summary: "Make an endpoint of plain RTP a participant, or send the conference to a multicast group",
			query: plainRTP, in: api.RTPOpen{}, out: api.RTPLeg{}, code: 201, refusals: []int{409, 504}, bare: typeSDP, run: openRTP,
		},
		{
			method: "PATCH", path: "/conferences/{uri}/rtp/{id}", id: "reofferRTP", summary: "Another offer of an endpoint of plain RTP: hold, resume, another address",
			in: api.RTPOpen{}, out: api.RTPLeg{}, code: 200, refusals: []int{409, 504}, bare: typeSDP, run: reofferRTP,
		},
		{method: "DELETE", path: "/conferences/{uri}/rtp/{id}", id: "closeRTP", summary: "Let an endpoint of plain RTP leave", code: 204, refusals: []int{504}, run: closeRTP},
		{
			method: "POST", path: "/conferences/{uri}/rtp/{id}/dtmf", id: "pressRTP", summary: "Send keys to an endpoint as telephone events (RFC 4733)",
			in: api.RTPKeys{}, code: 204, refusals: []int{409, 429, 504}, run: pressRTP,
		},
		{method: "GET", path: "/traces", id: "getTraces", summary: "Whether traces of connections are written", out: api.Traces{}, code: 200, run: traces},
		{
			method: "PUT", path: "/traces", id: "putTraces", summary: "Write traces of all connections from now on, or stop",
			in: api.PutTraces{}, out: api.Traces{}, code: 200, run: putTraces,
		},
		{
			method: "POST", path: "/conferences/{uri}/commands/{method}", id: "command", summary: "Give a command of the protocol",
			query: []queryMember{ifMatch}, in: map[string]any{}, out: map[string]any{}, code: 200, refusals: []int{405, 409, 410, 412, 423, 501, 504}, run: command,
		},
	}
}

// live is a route about a running conference.
func live(what, summary string, out any, run func(*call) (any, error)) route {
	return route{
		method: http.MethodGet, path: "/conferences/{uri}/" + what, id: "get" + idOf(what), summary: summary + " of a running conference",
		out: out, code: 200, refusals: []int{409, 504}, run: run,
	}
}

func putTopology(method, path, id, summary string, out any, run func(*call) (any, error)) route {
	return route{
		method: method, path: path, id: id, summary: summary, query: []queryMember{ifMatch},
		in: api.PutTopology{}, out: out, code: 200, refusals: []int{409, 410, 412, 504}, run: run,
	}
}

func idOf(path string) string {
	out, up := []byte{}, true
	for i := range len(path) {
		switch c := path[i]; {
		case c == '/' || c == '{' || c == '}':
			up = true
		case up:
			out, up = append(out, c-'a'+'A'), false
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// commands are the methods that make sense for somebody who has not joined.
// True: the protocol has it. Those not listed are 405 when it does.
var commands = map[string]bool{
	api.ConferenceStart: true, api.ConferenceEnd: true, api.ConferenceLock: true, api.ConferenceUnlock: true, api.PolicySet: true,
	api.TopologySet:      true,
	api.ParticipantExpel: true, api.ParticipantSetRole: true, api.ParticipantInvite: true, api.ParticipantTransfer: true,
	api.LobbyAdmit: true, api.LobbyReject: true, api.TrackMute: true, api.TrackUnmute: true, api.TrackUnpublish: true,
	api.MediaRestartICE: true, api.HandLower: true, api.LayoutSet: true, api.FloorGrant: true, api.FloorDeny: true, api.FloorRevoke: true, api.FloorRelease: true,
	api.SidebarCreate: true, api.SidebarEnd: true, api.RecordingStart: true, api.RecordingStop: true, api.DeviceRemove: true, api.ChatSend: true,
}
