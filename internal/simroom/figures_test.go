package simroom

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var (
	traceDir   = flag.String("traces", "", "directory to write SVG traces to")
	pixels     = flag.Bool("png", false, "traces as PNG as well")
	figureFile = flag.String("figures", "", "file to append the figures to")
)

// figure checks one figure of the specification and keeps what was got.
func figure(t *testing.T, what string, got float64, op string, asked float64) {
	t.Helper()
	ok := holds(got, op, asked)
	if !ok {
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
	fmt.Fprintf(f, "%s\t%s\t%s %.4g\t%.4g\t%v\n", t.Name(), what, op, asked, got, ok)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func holds(got float64, op string, asked float64) bool {
	switch op {
	case "<=":
		return got <= asked
	case ">=":
		return got >= asked
	case ">":
		return got > asked
	}
	return got < asked
}
