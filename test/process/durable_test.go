package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/test/harness"
)

// owner is somebody who administers a server.
type owner struct {
	t     *testing.T
	s     *harness.Server
	token string
}

func administer(t *testing.T, s *harness.Server) *owner {
	t.Helper()
	out, err := harness.Command(t, "token", "--data", s.Data, "--service", "--expires", "1h").Output()
	if err != nil {
		t.Fatalf("parley token: %v", err)
	}
	token := strings.TrimSpace(string(out))
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \n") {
		t.Fatalf("prints more than the token: %q", out)
	}
	return &owner{t, s, token}
}

// ask returns the status; zero when the server is gone.
func (o *owner) ask(method, path, body string, out any) int {
	req, err := http.NewRequest(method, o.s.URL+"/api/v1"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		o.t.Error(err)
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	req.Header.Set("Content-Type", "application/json")
	c := &http.Client{Timeout: patience}
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	if out != nil && json.Unmarshal(b, out) != nil {
		return 0
	}
	return resp.StatusCode
}

// TestR11_KilledServerKeepsEveryAcknowledgedConference: kill -9 while several
// owners create and change conferences; after the restart each answer holds.
func TestR11_KilledServerKeepsEveryAcknowledgedConference(t *testing.T) {
	s := harness.Start(t, harness.Options{Closed: true})
	o := administer(t, s)
	if code := o.ask("POST", "/conferences", `{"uri":"running","title":"Runs","start":true}`, nil); code != 201 {
		t.Fatalf("create: %d", code)
	}
	var mu sync.Mutex
	acked := map[string]string{} // name to the last title that was acknowledged
	enough := make(chan struct{})
	var g sync.WaitGroup
	for w := range 4 {
		g.Go(func() {
			for i := 0; ; i++ {
				name, title := fmt.Sprintf("w%d-%d", w, i/3), fmt.Sprintf("%06d", i)
				code := 0
				if i%3 == 0 {
					code = o.ask("POST", "/conferences", fmt.Sprintf(`{"uri":%q,"title":%q}`, name, title), nil)
				} else {
					code = o.ask("PATCH", "/conferences/"+name, fmt.Sprintf(`{"title":%q}`, title), nil)
				}
				if code == 0 {
					return // the server is dead
				}
				if code > 299 {
					t.Errorf("%s: %d", name, code)
					return
				}
				mu.Lock()
				acked[name] = title
				if len(acked) == 40 {
					select {
					case <-enough:
					default:
						close(enough)
					}
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(2 * patience):
		t.Error("too slow")
	}
	s.Kill()
	g.Wait()
	o.s = harness.Start(t, harness.Options{Closed: true, Data: s.Data})
	for name, title := range acked {
		var d struct{ Title, State string }
		if code := o.ask("GET", "/conferences/"+name, "", &d); code != 200 || d.Title < title || d.State != "scheduled" {
			t.Errorf("%s: %d %+v, acknowledged %q", name, code, d, title)
		}
	}
	var d struct{ Title, State, EndedAt string }
	if o.ask("GET", "/conferences/running", "", &d); d.State != "ended" || d.EndedAt == "" {
		t.Errorf("what ran before the crash: %+v", d)
	}
	if code := o.ask("POST", "/conferences/running/reopen", `{"start":true}`, &d); code != 200 || d.State != "active" {
		t.Errorf("reopened: %d %+v", code, d)
	}
	t.Logf("%d conferences were acknowledged before the kill", len(acked))
}

func TestMetricsAreServedOnTheAdminListener(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	resp, err := http.Get(s.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !bytes.Contains(b, []byte("parley_conferences 0")) {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	if code, _, err := s.Get("/metrics"); err != nil || code == 200 {
		t.Fatalf("on the public listener: %d %v", code, err)
	}
}
