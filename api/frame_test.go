package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"parley/api"
)

// FuzzNotify: what is written by hand is what encoding/json writes.
func FuzzNotify(f *testing.F) {
	f.Add("sub_1", "conf_1", "conference", "partial", uint32(7), "", `{"users":{}}`, uint64(3))
	f.Add("", "", "", "", uint32(0), "participant.joined", "", uint64(0))
	f.Add("a\"b\\", "<&>", "\u2028\x7f", "\xff\n", uint32(1<<31), "é", `[1,2]`, uint64(1<<63))
	f.Fuzz(func(t *testing.T, sub, conf, pkg, state string, version uint32, event, body string, seq uint64) {
		n := &api.Notify{Kind: "notify", Sub: sub, Conf: conf, Package: pkg, State: state, Version: version, Event: event, Seq: seq}
		if body != "" {
			b, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			n.Body = b
		}
		want, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.Frame(); string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// BenchmarkNotify is one notification to one subscriber.
func BenchmarkNotify(b *testing.B) {
	for _, size := range []int{600, 60_000} {
		body, err := json.Marshal(map[string]string{"x": strings.Repeat(`a"b`, size/4)})
		if err != nil {
			b.Fatal(err)
		}
		n := &api.Notify{Kind: "notify", Sub: "sub_1", Conf: "conf_8qff01jnypat0dc5", Package: "conference", State: "partial", Version: 17, Body: body, Seq: 99}
		b.Run(fmt.Sprintf("copied/%d", len(body)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n.Frame()
			}
		})
		b.Run(fmt.Sprintf("read again/%d", len(body)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
