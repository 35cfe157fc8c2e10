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
		if least, open := unreached[t.Name()+": "+what]; open && holds(got, op, least) {
			t.Logf("%s: %.4g MISSED, asked %s %.4g", what, got, op, asked)
		} else {
			t.Errorf("%s: %.4g, asked %s %.4g", what, got, op, asked)
		}
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

// unreached are figures that the server does not reach yet with every seed, and what it is
// held to meanwhile. They are marked in docs/quality-figures.md.
var unreached = map[string]float64{
	"TestQ1_Steps: down at 0.6, s after the step": 2,
	// The queue of a climb that fails makes sound late.
	"TestQ6_TenPercent/receivers: audio concealed with RED, %": 0.3,
	// The loss and the delay of a climb that fails are seen one after the other.
	"TestQ7_TwentyPercent/receivers: dips > 100 kbit/s in any 500 ms": 4,
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
