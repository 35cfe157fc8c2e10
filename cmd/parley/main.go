// Command parley is the whole conferencing server: signalling and media in one
// binary. Each subcommand is a thin file beside this one.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"parley/internal/config"
)

// Version is set by the release build; "dev" otherwise.
var Version = "dev"

// cli is the command line; field order is the order in --help.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Check   checkCmd   `cmd:"" help:"Validate the configuration and say what is wrong, without starting."`
	Token   tokenCmd   `cmd:"" help:"Make an access token with the server's keys."`
	Room    roomCmd    `cmd:"" help:"Look after conferences of a running server."`
	Load    loadCmd    `cmd:"" help:"Drive a server with publishers and subscribers, and measure it."`
	Trace   traceCmd   `cmd:"" help:"Draw the trace of a connection."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "parley: %v\n", err)
		os.Exit(1)
	}
}

// newParser builds the command line; file may be nil.
func newParser(c *cli, file *config.File) (*kong.Kong, error) {
	opts := []kong.Option{
		kong.Name("parley"),
		kong.Description("A WebRTC conferencing server: signalling and media in one binary. Try: parley serve --dev"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Bind(file),
		kong.Vars{"topologies": topologies()},
	}
	if file != nil {
		opts = append(opts, kong.Resolvers(file))
	}
	return kong.New(c, opts...)
}

func run(args []string) error {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var c cli
	parser, err := newParser(&c, nil)
	if err != nil {
		return err
	}
	if err := unknownEnv(parser.Model, os.Environ()); err != nil {
		return err
	}
	if name := configFile(args); name != "" && len(args) > 0 {
		file, err := fileFor(parser.Model, args[0], name)
		if err != nil {
			return err
		}
		c = cli{}
		if parser, err = newParser(&c, file); err != nil {
			return err
		}
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w\n(parley --help lists what there is)", err)
	}
	return ctx.Run(&c.Room.roomServer)
}
