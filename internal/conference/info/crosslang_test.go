package info

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"
)

// replayFile is what the TypeScript test of the SDK replays: documents as this
// notifier made them, some lost, with the verdict and now and then the truth.
const replayFile = "../../../web/sdk/documents.test.data.ts"

// TestReplayForTypeScript writes the file anew and fails if it was not the
// same: then it is to be committed, and the SDK's tests to be run again.
func TestReplayForTypeScript(t *testing.T) {
	got := replay(t)
	want, err := os.ReadFile(replayFile)
	if err == nil && bytes.Equal(got, want) {
		return
	}
	if err := os.WriteFile(replayFile, got, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Errorf("%s was written anew", replayFile)
}

type replayLine struct {
	Lost    bool      `json:"lost,omitempty"`
	Verdict string    `json:"verdict,omitempty"`
	Doc     *Document `json:"doc"`
	Truth   *Document `json:"truth,omitempty"` // what the subscriber has now
	Diff    *Document `json:"diff,omitempty"`  // from the truth before to this one
}

var verdicts = map[Verdict]string{Accepted: "applied", Discarded: "discarded", Refresh: "refresh", Over: "ended"}

func replay(t *testing.T) []byte {
	const seed = 11
	r := rand.New(rand.NewPCG(seed, 0))
	var out bytes.Buffer
	out.WriteString("// Written by TestReplayForTypeScript of internal/conference/info; do not edit.\nexport const lines: string[] = [\n")
	put := func(l replayLine) {
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		q, _ := json.Marshal(string(b))
		out.Write(q)
		out.WriteString(",\n")
	}
	truth := example(t, 1)
	var sub Subscriber
	var sent, told *Document
	version := uint32(0)
	for i := range 500 {
		next := clone(t, truth)
		change(r, next, i)
		for len(next.Users.User) > 6 { // the file is to stay small
			delete(next.Users.User, pick(r, next.Users.User))
		}
		truth = next
		doc := truth
		if sent != nil {
			if doc = Diff(sent, truth); doc == nil {
				continue
			}
		}
		sent = truth
		version++
		l := replayLine{Doc: clone(t, doc), Lost: r.IntN(10) == 0}
		l.Doc.Version = version
		if l.Lost {
			put(l)
			continue
		}
		v := sub.Accept(l.Doc)
		l.Verdict = verdicts[v]
		if v == Accepted && i%8 == 0 {
			l.Truth = clone(t, sub.Doc)
			if told != nil {
				l.Diff = Diff(told, l.Truth)
			}
			told = l.Truth
		}
		put(l)
		if v == Refresh {
			version++
			full := clone(t, truth)
			full.Version = version
			put(replayLine{Verdict: verdicts[sub.Accept(full)], Doc: full})
		}
	}
	put(replayLine{Verdict: verdicts[sub.Accept(&Document{Entity: truth.Entity, State: Deleted, Version: version + 1})],
		Doc: &Document{Entity: truth.Entity, State: Deleted, Version: version + 1}})
	out.WriteString("];\n")
	return out.Bytes()
}
