package control_test

import (
	"fmt"
	"strings"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
)

// What dialogues say of topologies. What is as usual (auto, sfu) goes unsaid.

// mixes plays a mixer that can do some kinds.
func mixes(kinds string) func(string) error {
	return func(kind string) error {
		if strings.Contains(kinds, kind) {
			return nil
		}
		return fault.New(503, "codec-missing", "install libvpx9 for %s", kind)
	}
}

func legWords(l *api.LegState) string {
	if l == nil || l.Manner == "sfu" && l.Own == "" {
		return ""
	}
	out := ", served " + l.Manner
	for _, p := range l.Peers {
		out += fmt.Sprintf(", %s %s/%s", map[bool]string{true: "calls", false: "is called by"}[p.Offer], p.Part, p.Dev)
	}
	return out
}

func servedWords(l model.Leg) string { return fmt.Sprintf("%s (%s, %s)", l.Manner, l.Audio, l.Video) }

func rewired(e control.Rewire) string {
	return fmt.Sprintf("serve %s of %s as %s, was %s", e.Device.ID, e.Device.Part.User, servedWords(e.Device.Leg), servedWords(e.Was))
}

func topologyRules(a, b *info.Topology) []string {
	if b == nil || a == nil && *b == (info.Topology{Name: "auto"}) || a != nil && *a == *b {
		return nil
	}
	out := "topology " + b.Name
	if b.AllowDiscouraged {
		out += ", discouraged and wanted"
	}
	if b.Lacking != "" {
		out += ", a mixer would need: " + b.Lacking
	}
	return []string{out}
}

func mannerWords(x *info.EndpointExt) (out []string) {
	if x.Manner != "" && x.Manner != "sfu" {
		out = append(out, "served "+x.Manner)
	}
	if t := x.Topology; t != nil {
		out = append(out, "by its own choice of "+t.Name)
	}
	if k := x.E2EE; k != nil {
		out = append(out, "has "+k.Key+" by "+k.Identity)
	}
	return out
}
