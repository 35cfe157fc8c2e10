package metrics

import (
	"flag"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

func page() string {
	var b strings.Builder
	b.WriteString("# Metrics\n\nPrometheus metrics at `/metrics` of the `--admin` listener, beside those of the Go runtime (`go_…`) and the process (`process_…`).\n" +
		"Made from the code (`go test ./internal/metrics -update`). They are read from snapshots when asked for; none costs anything between scrapes.\n\n" +
		"| name | kind | label | meaning |\n|---|---|---|---|\n")
	for _, m := range Table {
		kind := "counter"
		if m.Kind == Gauge {
			kind = "gauge"
		}
		label := "–"
		if m.Label != "" {
			label = "`" + strings.Join(m.labels(), "`, `") + "`"
		}
		b.WriteString("| `" + m.Name + "` | " + kind + " | " + label + " | " + m.Help + " |\n")
	}
	return b.String()
}

func TestPageMatchesTheTable(t *testing.T) {
	const path = "../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(path, []byte(page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != page() {
		t.Errorf("docs/metrics.md differs from the table (%v); run with -update", err)
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	for _, m := range Table {
		if !strings.HasPrefix(m.Name, "parley_") || m.Help == "" || m.Kind == 0 {
			t.Errorf("%+v", m)
		}
		if total := strings.HasSuffix(m.Name, "_total"); total != (m.Kind == Counter) {
			t.Errorf("%s: counters end in _total, gauges do not", m.Name)
		}
	}
}

func TestScrape(t *testing.T) {
	h := Handler(func(v Values) {
		v.Set("parley_links", "", 3)
		v.Add("parley_dropped_total", "stun-unknown", 2)
		v.Add("parley_dropped_total", "stun-unknown", 2)
		v.Set("parley_media_bits", "in,audio", 5)
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"parley_links 3\n", `parley_dropped_total{reason="stun-unknown"} 4`, `parley_media_bits{direction="in",kind="audio"} 5`, "go_goroutines "} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("lacks %q", want)
		}
	}
}
