package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/internal/config"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

// parse runs the command line as main does, up to and without Run.
func parse(t *testing.T, args ...string) (*config.Server, error) {
	t.Helper()
	var c cli
	p, err := newParser(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name := configFile(args); name != "" {
		f, err := fileFor(p.Model, args[0], name)
		if err != nil {
			return nil, err
		}
		c = cli{}
		if p, err = newParser(&c, f); err != nil {
			t.Fatal(err)
		}
	}
	_, err = p.Parse(args)
	return &c.Check.Server, err
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "parley.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestPrecedenceFlagEnvFile(t *testing.T) {
	f := file(t, "http: 127.0.0.1:1001\nudp: 127.0.0.1:1002\nworkers: 3\n")
	t.Setenv("PARLEY_UDP", "127.0.0.1:2002")
	t.Setenv("PARLEY_WORKERS", "4")
	c, err := parse(t, "check", "--config", f, "--workers", "5")
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP.Port != 1001 || c.UDP.Port != 2002 || c.Workers != 5 {
		t.Errorf("http %v (file), udp %v (environment), workers %d (flag)", c.HTTP, c.UDP, c.Workers)
	}
}

func TestBadFilesSayFileLineKeyReason(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"http: :8080\nudpp: :1\n", `:2: udpp: unknown key; did you mean "udp"?`},
		{"http: :0\n", `:1: http: ":0": the port must be 1 to 65535`},
		{"\nudp: 127.0.0.1:65536\n", `:2: udp: "127.0.0.1:65536": the port must be`},
		{"http: 127.0.0.1:80x\n", ":1: http:"},
		{"workers: 2\nworkers: 3\n", ":2:"},
		{"limits:\n  half-open: 7 # ok\n  half-opeN: 7\n", ":3: limits.half-opeN: unknown key"},
		{"limits:\n  half-open: -1\n", ":2: limits.half-open: -1 is not 1 to"},
		{"limits: 5\n", ":1: limits: unknown key"},
		{"advertise: [192.0.2.1, nonsense]\n", `:1: advertise: "nonsense" is not an address`},
		{"log-level: loud\n", `:1: log-level: "loud" is not one of`},
		{"drain: 10\n", `:1: drain: "10" is not a duration`},
		{"http: [1\n", ":1:"},
		{"- a\n", ":1:"},
		{"http:\n", ":1: http: has no value"},
		{"tls-cert: /nowhere.pem\ntls-key: /nowhere.key\n", ":2: tls-key:"},
		{"workers: 300\n", ":1: workers: 300 is not 0 to 256"},
		{"admin: 127.0.0.1:8080\nhttp: 127.0.0.1:8080\n", ":1: admin: port 8080 is already the http port"},
	} {
		name := file(t, tc.text)
		_, err := parse(t, "check", "--config", name)
		if err == nil || !strings.Contains(err.Error(), "parley.yaml"+tc.want) {
			t.Errorf("%q:\n got %v\nwant …%s", tc.text, err, tc.want)
		}
	}
}

func TestBadFlagsAndVariables(t *testing.T) {
	if _, err := parse(t, "check", "--http", "1.2.3.4"); err == nil || !strings.Contains(err.Error(), "ADDR:PORT") {
		t.Errorf("flag: %v", err)
	}
	if _, err := parse(t, "check", "--nonsense"); err == nil {
		t.Error("unknown flag accepted")
	}
	var c cli
	p, err := newParser(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := unknownEnv(p.Model, []string{"PARLEY_HTPP=:1"}); err == nil || !strings.Contains(err.Error(), "PARLEY_HTPP") {
		t.Errorf("variable: %v", err)
	}
	if err := unknownEnv(p.Model, []string{"PARLEY_HTTP=:1", "HOME=/"}); err != nil {
		t.Error(err)
	}
}

func TestOpenKeyFileIsRefused(t *testing.T) {
	key := file(t, "x")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := parse(t, "check", "--tls-cert", key, "--tls-key", key)
	if err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
}

// TestReferenceMatchesTheCode keeps docs/configuration.md true; -update rewrites it.
func TestReferenceMatchesTheCode(t *testing.T) {
	var c cli
	p, err := newParser(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Configuration\n\nEvery setting of `parley serve`, from the code (`go test ./cmd/parley -run Reference -update`).\n" +
		"A flag beats its environment variable, which beats the YAML file given by `--config`.\n" +
		"In the file, `limits.half-open: 5` may also be written as a mapping `limits:` with `half-open: 5` below it.\n" +
		"Anything unknown or out of range stops the start and says where: file, line, key and reason.\n`parley check` judges the same without starting.\n\n" +
		"| flag / YAML key | environment | default | meaning |\n|---|---|---|---|\n")
	for _, n := range p.Model.Children {
		if n.Name != "serve" {
			continue
		}
		for _, f := range n.Flags {
			if len(f.Envs) == 0 {
				continue
			}
			def := "–"
			if f.Default != "" {
				def = "`" + f.Default + "`"
			}
			help, _, _ := strings.Cut(f.Help, " ($")
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", f.Name, f.Envs[0], def, strings.ReplaceAll(help, "|", "\\|"))
		}
	}
	const path = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != b.String() {
		t.Errorf("docs/configuration.md differs from the code (%v); run with -update", err)
	}
}
