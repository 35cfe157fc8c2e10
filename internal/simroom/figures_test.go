package simroom

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	traceDir   = flag.String("traces", "", "directory to write SVG traces to")
	figureFile = flag.String("figures", "", "file to append the figures to")
)

// figure checks one figure of the specification and keeps what was got.
func figure(t *testing.T, what string, got float64, op string, asked float64) {
	t.Helper()
	ok := false
	switch op {
	case "<=":
		ok = got <= asked
	case ">=":
		ok = got >= asked
	case "<":
		ok = got < asked
	case ">":
		ok = got > asked
	}
	verdict := ""
	if !ok {
		verdict = " MISSED"
		t.Errorf("%s: %.4g, asked %s %.4g", what, got, op, asked)
	} else {
		t.Logf("%s: %.4g (%s %.4g)", what, got, op, asked)
	}
	if *figureFile == "" {
		return
	}
	f, err := os.OpenFile(*figureFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Error(err)
		return
	}
	fmt.Fprintf(f, "| `%s` | %s | %s %.4g | %.4g%s | %d |\n", strings.TrimPrefix(t.Name(), "Test"), what, op, asked, got, verdict, *seedFlag)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// keepTrace writes a picture where -traces says.
func keepTrace(t *testing.T, tr *Trace) {
	t.Helper()
	if *traceDir == "" {
		return
	}
	name := strings.ToLower(strings.NewReplacer("Test", "", "/", "-", "_", "-").Replace(t.Name()))
	tr.Title = strings.TrimPrefix(t.Name(), "Test")
	for ext, data := range map[string]string{".svg": tr.SVG()} {
		if err := os.WriteFile(filepath.Join(*traceDir, "room-"+name+ext), []byte(data), 0o644); err != nil {
			t.Error(err)
		}
	}
}
