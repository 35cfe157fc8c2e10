package process

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"parley/test/harness"
)

// TestWebhooksTellWhatHappens: a conference that starts and ends is told, with
// a signature that the secret of the file makes.
func TestWebhooksTellWhatHappens(t *testing.T) {
	const secret = "a secret of the test, long enough"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	type event struct {
		Event, Conference string
		signed            bool
	}
	got := make(chan event, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var e event
		if err != nil || json.Unmarshal(b, &e) != nil {
			return
		}
		m := hmac.New(sha256.New, []byte(secret))
		_, _ = m.Write([]byte(r.Header.Get("Parley-Timestamp") + "."))
		_, _ = m.Write(b)
		e.signed = r.Header.Get("Parley-Signature") == "v1="+hex.EncodeToString(m.Sum(nil))
		got <- e
	}))
	defer hook.Close()
	s := harness.Start(t, harness.Options{Closed: true, Args: []string{
		"--webhook-url", hook.URL + "/x", "--webhook-secret-file", file, "--webhook-loopback",
	}})
	o := administer(t, s)
	if code := o.ask("POST", "/conferences", `{"uri":"told","start":true}`, nil); code != 201 {
		t.Fatalf("create: %d", code)
	}
	if code := o.ask("POST", "/conferences/told/commands/conference.end", `{}`, nil); code != 200 {
		t.Fatalf("end: %d", code)
	}
	limit := time.After(patience)
	for _, want := range []string{"conference.started", "conference.ended"} {
		select {
		case e := <-got:
			if e.Event != want || e.Conference != "told" || !e.signed {
				t.Fatalf("%+v, want %s", e, want)
			}
		case <-limit:
			t.Fatalf("%s was not told", want)
		}
	}
}
