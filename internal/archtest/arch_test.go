package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "parley/"

// pkg is what `go list -json` says of one package.
type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	Deps       []string
	Name       string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Doc,Imports,Deps,Name"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var ee *exec.ExitError
		if errors.As(err, &ee) {
			t.Fatalf("go list: %v\n%s", err, ee.Stderr)
		}
		t.Fatal(err)
	}
	var ps []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return ps
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
}

// layer is one room of docs/architecture.md.
type layer struct {
	name     string
	prefixes []string // below parley/
	may      []string // own prefixes it may reach, transitively; its own are implied
	notStd   []string // standard library packages it must not import directly
}

// core is what logic without world must not import.
var core = []string{"net", "os", "sync", "context", "log/slog", "log", "net/http", "math/rand"}

var layers = []layer{
	{"api", []string{"api"}, nil, append([]string{}, core...)},
	{"base", []string{"internal/base"}, nil, []string{"net", "os", "log/slog", "log", "net/http"}},
	{"conference", []string{"internal/conference"}, []string{"internal/base", "api"}, core},
	{"media", []string{"internal/media"}, []string{"internal/base", "internal/conference/model"}, core},
	{"transport", []string{"internal/transport"}, []string{"internal/base", "internal/media/rtp", "internal/media/rtcp"}, nil},
	{"mcu", []string{"internal/mcu"}, []string{"internal/base", "internal/conference/model", "internal/media"}, nil},
	{"worker", []string{"internal/worker"}, []string{"internal/base", "internal/conference/model", "internal/media", "internal/transport"}, nil},
	{"focus", []string{"internal/focus"}, []string{"internal/base", "internal/conference", "internal/media/sdp", "internal/media/plane", "api"}, []string{"net", "net/http"}},
	{"signaling", []string{"internal/signaling"}, []string{"internal/base", "internal/conference", "internal/media/sdp", "internal/media/plane", "internal/auth", "api"}, nil},
	{"auth", []string{"internal/auth"}, []string{"internal/base", "internal/conference/model", "internal/conference/control", "internal/conference/policy", "api"}, nil},
	{"store", []string{"internal/store"}, []string{"internal/base", "api"}, nil},
	{"admin", []string{"internal/admin", "internal/webhook"}, []string{"internal/base", "internal/conference", "internal/focus", "internal/media/sdp", "internal/media/plane", "internal/auth", "internal/store", "api"}, nil},
	{"metrics", []string{"internal/metrics"}, []string{"internal/base", "api"}, nil},
	{"tracefile", []string{"internal/tracefile"}, []string{"internal/base", "internal/media/trace"}, []string{"net", "net/http"}},
	{"plot", []string{"internal/plot"}, nil, append([]string{}, core...)},
	{"tracedraw", []string{"internal/tracedraw"}, []string{"internal/base", "internal/media/trace", "internal/plot"}, append([]string{}, core...)},
	{"simnet", []string{"internal/simnet"}, []string{"internal/base"}, nil},
	{"simroom", []string{"internal/simroom"}, []string{"internal/base", "internal/conference/model", "internal/media", "internal/simnet"}, core},
	{"config", []string{"internal/config"}, []string{"internal/base"}, nil},
	{"web", []string{"web"}, nil, nil},
	{"top", []string{"internal/node", "internal/load", "internal/archtest", "internal/abusetest", "cmd", "bench", "scripts"}, []string{""}, nil},
}

func under(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool {
		return p == "" || path == p || strings.HasPrefix(path, p+"/")
	})
}

func layerOf(path string) *layer {
	for i := range layers {
		if under(path, layers[i].prefixes) {
			return &layers[i]
		}
	}
	return nil
}

func TestLayersPointOneWay(t *testing.T) {
	for _, p := range list(t, "./...") {
		own := strings.TrimPrefix(p.ImportPath, module)
		l := layerOf(own)
		if l == nil {
			t.Errorf("%s: no layer; give it a room in docs/architecture.md and here", p.ImportPath)
			continue
		}
		for _, d := range p.Deps {
			if rest, ok := strings.CutPrefix(d, module); ok && !under(rest, l.prefixes) && !under(rest, l.may) {
				t.Errorf("%s (%s) reaches %s", p.ImportPath, l.name, d)
			}
		}
		for _, i := range p.Imports {
			if slices.Contains(l.notStd, i) {
				t.Errorf("%s (%s) imports %s", p.ImportPath, l.name, i)
			}
		}
	}
}

func TestServerHasOneWebRTCStack(t *testing.T) {
	for _, p := range list(t, "./cmd/parley") {
		for _, d := range p.Deps {
			for _, bad := range []string{"github.com/pion/webrtc", "github.com/pion/ice", "github.com/pion/interceptor"} {
				if strings.HasPrefix(d, bad+"/") || d == bad {
					t.Errorf("cmd/parley depends on %s", d)
				}
			}
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	bad := []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "manager", "core"}
	for _, p := range list(t, "./...") {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		if slices.Contains(bad, p.Name) {
			t.Errorf("%s: the name %q says nothing", p.ImportPath, p.Name)
		}
	}
}
