package control_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"parley/api"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
)

// How moderation reads in a dialogue.

func joined(j api.JoinResult) string {
	return fmt.Sprintf("%s is %s in %s at rev %d, media session %s, tracks %v", j.User, j.Role, j.Conf, j.Rev, j.MS, j.Tracks) + legWords(j.Leg)
}

func hearers(to string, e control.Event) string {
	switch {
	case e.Users != nil:
		return strings.Join(e.Users, ", ") + " hear"
	case e.Least != "":
		return "every " + string(e.Least) + " hears"
	}
	return to + " hears"
}

// beside describes effects that are no work for the media side.
func beside(e control.Effect) string {
	switch e := e.(type) {
	case control.JoinSettled:
		who := strings.TrimPrefix(string(e.Session), "sess_")
		if e.Err != nil {
			return fmt.Sprintf("answer to the join of %s: %d %s (%s)", who, e.Err.Code, e.Err.Reason, e.Err.Message)
		}
		return fmt.Sprintf("answer to the join of %s: 200 %s", who, joined(e.Result))
	case control.Remember:
		var words []string
		if e.Policy != nil {
			words = append(words, "policy "+compact(e.Policy))
		}
		if e.Title != nil {
			words = append(words, fmt.Sprintf("title %q", *e.Title))
		}
		if len(e.Ban) > 0 {
			words = append(words, "ban of "+strings.Join(e.Ban, ", "))
		}
		if len(e.Unban) > 0 {
			words = append(words, "end of the ban of "+strings.Join(e.Unban, ", "))
		}
		return "kept: " + strings.Join(words, "; ")
	}
	return between(e)
}

// rules describes what changed in the conference's own members.
func rules(old, next *info.Document) []string {
	var a, b info.ConferenceMembers
	if old.Ext != nil {
		a = old.Ext.ConferenceMembers
	}
	b = next.Ext.ConferenceMembers
	var out []string
	if a.LobbyCount != b.LobbyCount {
		out = append(out, fmt.Sprintf("%d in the lobby", b.LobbyCount))
	}
	if !reflect.DeepEqual(a.Muted, b.Muted) {
		out = append(out, fmt.Sprintf("new tracks start muted: %v", b.Muted))
	}
	if a.Policy != nil && !reflect.DeepEqual(a.Policy, b.Policy) {
		out = append(out, "rules now "+changedRules(a.Policy, b.Policy))
	}
	if !reflect.DeepEqual(a.Floors, b.Floors) {
		for _, f := range b.Floors {
			out = append(out, floorLine(f))
		}
		if len(b.Floors) == 0 {
			out = append(out, "no floors")
		}
	}
	out = append(out, topologyRules(a.Topology, b.Topology)...)
	return append(out, branchRules(old, next)...)
}

// changedRules names the members that differ.
func changedRules(a, b any) string {
	var x, y map[string]any
	for v, m := range map[any]*map[string]any{a: &x, b: &y} {
		if err := json.Unmarshal([]byte(compact(v)), m); err != nil {
			panic(err)
		}
	}
	var words []string
	for _, k := range slices.Sorted(maps.Keys(y)) {
		if !reflect.DeepEqual(x[k], y[k]) {
			words = append(words, fmt.Sprintf("%s=%v", k, y[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(x)) {
		if _, still := y[k]; !still {
			words = append(words, "no "+k)
		}
	}
	return strings.Join(words, ", ")
}

func floorLine(f info.Floor) string {
	words := []string{"floor " + f.Floor + ":"}
	for _, r := range f.Requests {
		w := r.User + " " + r.Status
		if r.Queue > 0 {
			w += fmt.Sprintf(" at place %d", r.Queue)
		}
		words = append(words, w)
	}
	if len(f.Requests) == 0 {
		words = append(words, "nobody")
	}
	return strings.Join(words, " ")
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// person describes what a row says about the person beside the devices.
func person(u *info.User) string {
	var words []string
	if u.Ext != nil && u.Ext.Hand != nil {
		words = append(words, fmt.Sprintf("hand up, rank %d", u.Ext.Hand.Rank))
	}
	if u.Ext != nil && u.Ext.Presence != nil {
		words = append(words, fmt.Sprintf("presence %s %q typing %v", u.Ext.Presence.State, u.Ext.Presence.Note, u.Ext.Presence.Typing))
	}
	if u.Ext != nil && u.Ext.Consent != nil {
		words = append(words, map[bool]string{true: "agrees to be recorded", false: "is not to be recorded"}[*u.Ext.Consent])
	}
	if len(u.Endpoint) == 0 && len(u.Roles) > 0 {
		words = append(words, "is "+u.Roles[0])
	}
	if len(u.Endpoint) == 0 && u.State == info.Partial && u.Ext != nil && len(words) == 0 {
		words = append(words, "hand down, no presence")
	}
	if len(words) == 0 {
		return ""
	}
	return ": " + strings.Join(words, ", ")
}
