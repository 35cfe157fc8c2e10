package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"parley/internal/config"
	"parley/internal/node"
)

// serveCmd runs the server until SIGINT or SIGTERM.
type serveCmd struct {
	config.Server `embed:""`
	Check         bool `help:"Only validate the configuration, as parley check does."`
}

// Run is called by kong. Exit status 0 after a clean stop, 1 for a bad
// configuration or a failed start.
func (c *serveCmd) Run() error {
	if c.Check {
		fmt.Println("configuration ok")
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	n, err := node.New(&c.Server, Version, os.Stderr)
	if err != nil {
		return err
	}
	n.Banner(os.Stdout)
	return n.Run(ctx)
}

// checkCmd validates a configuration.
type checkCmd struct {
	config.Server `embed:""`
}

// Run says that all is well: problems were reported before, by AfterApply.
func (c *checkCmd) Run() error {
	fmt.Println("configuration ok")
	return nil
}

// configFile finds --config FILE or PARLEY_CONFIG before the command line is
// judged, so that the file's own mistakes are reported with file and line.
func configFile(args []string) string {
	name := "--config"
	if len(args) > 0 && args[0] == "load" {
		name = "--scenario" // the same kind of file
	}
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v
		}
		if a == name && i+1 < len(args) {
			return args[i+1]
		}
	}
	if name == "--scenario" {
		return ""
	}
	return os.Getenv("PARLEY_CONFIG")
}

// fileFor reads the file and checks it against the flags of cmd.
func fileFor(app *kong.Application, cmd, name string) (*config.File, error) {
	f, err := config.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for _, n := range app.Children {
		if n.Name == cmd {
			return f, f.Check(n.Flags)
		}
	}
	return f, nil
}

// unknownEnv names a PARLEY_* variable that no flag reads: most often a typing
// error that would otherwise silently leave a default in force.
func unknownEnv(app *kong.Application, environ []string) error {
	known := map[string]bool{}
	for _, n := range app.Children {
		for _, fl := range n.Flags {
			for _, e := range fl.Envs {
				known[e] = true
			}
		}
	}
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "PARLEY_") && !known[name] {
			return fmt.Errorf("environment: %s: unknown setting", name)
		}
	}
	return nil
}

func explain(f *config.File, ps []config.Problem) error {
	if len(ps) == 0 {
		return nil
	}
	for _, p := range ps[1:] {
		fmt.Fprintf(os.Stderr, "parley: %s\n", where(f, p))
	}
	return fmt.Errorf("%s", where(f, ps[0]))
}

func where(f *config.File, p config.Problem) string {
	if file, line, ok := f.Where(p.Key); ok {
		return fmt.Sprintf("%s:%d: %s: %s", file, line, p.Key, p.Reason)
	}
	return fmt.Sprintf("--%s: %s", p.Key, p.Reason)
}

// AfterApply implements kong's hook.
func (c *serveCmd) AfterApply(f *config.File) error { return explain(f, c.Validate()) }

// AfterApply implements kong's hook.
func (c *checkCmd) AfterApply(f *config.File) error { return explain(f, c.Validate()) }
