package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"parley/internal/media/trace"
	"parley/internal/tracedraw"
)

// traceCmd draws the trace of a connection (docs/statistics.md).
type traceCmd struct {
	File  string `arg:"" type:"path" placeholder:"FILE" help:"A trace that the server wrote below --trace-dir, or - for standard input."`
	Out   string `name:"out" short:"o" type:"path" placeholder:"NAME" help:"Where to write the picture; by its ending .svg or .png. - is standard output. Default: FILE with that ending, in this directory."`
	PNG   bool   `name:"png" help:"Pixels instead of SVG."`
	Force bool   `name:"force" short:"f" help:"Replace a picture that is there."`
	Quiet bool   `name:"quiet" short:"q" help:"No progress."`
}

// Help implements kong.HelpProvider.
func (traceCmd) Help() string {
	return `Draws what happened on one connection: the estimate of the path against what was sent and acknowledged, delay, loss, what was asked for
again, and which layer of each picture was shown when.

  parley trace 5f2c9d10a7b3e846.sqlog                 draws 5f2c9d10a7b3e846.svg
  parley trace 5f2c9d10a7b3e846.sqlog --png           5f2c9d10a7b3e846.png
  parley trace 5f2c9d10a7b3e846.sqlog -o call.png     call.png

Which file is whose says GET /api/v1/conferences/ROOM/connections ("trace").`
}

// Run implements the command.
func (c *traceCmd) Run() error {
	out, png, err := c.target()
	if err != nil {
		return err
	}
	l, err := c.read()
	if err != nil {
		return err
	}
	if len(l.Events) == 0 {
		return fmt.Errorf("%s: the trace has no events yet", c.File)
	}
	p := tracedraw.Picture(l)
	draw := func(w io.Writer) error {
		if png {
			return p.PNG(w)
		}
		_, err := w.Write(p.SVG())
		return err
	}
	if out == "-" {
		return draw(os.Stdout)
	}
	if err := c.write(out, draw); err != nil {
		return err
	}
	if !c.Quiet {
		fmt.Fprintf(os.Stderr, "%s: %d events of %s\n", out, len(l.Events), l.Span().Round(100*time.Millisecond))
	}
	return nil
}

// target says where the picture goes, and in which form.
func (c *traceCmd) target() (out string, png bool, err error) {
	switch ext := strings.ToLower(filepath.Ext(c.Out)); {
	case c.Out == "-":
		return "-", c.PNG, nil
	case c.Out == "":
		end := ".svg"
		if c.PNG {
			end = ".png"
		}
		base := filepath.Base(c.File)
		if c.File == "-" {
			base = "trace"
		}
		return strings.TrimSuffix(base, trace.Suffix) + end, c.PNG, nil
	case ext == ".png":
		return c.Out, true, nil
	case ext == ".svg" && c.PNG:
		return "", false, errors.New("--png and a name that ends in .svg")
	case ext == ".svg" || c.PNG:
		return c.Out, c.PNG, nil
	default:
		return "", false, fmt.Errorf("%s: the name of a picture ends in .svg or .png", c.Out)
	}
}

func (c *traceCmd) read() (*trace.Log, error) {
	f, size := os.Stdin, int64(0)
	if c.File != "-" {
		x, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer x.Close()
		info, err := x.Stat()
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, fmt.Errorf("%s is a directory; name one of the traces in it (*%s)", c.File, trace.Suffix)
		}
		f, size = x, info.Size()
	}
	if size > trace.MaxBytes {
		return nil, fmt.Errorf("%s has %d MiB; more than %d are not read", c.File, size>>20, trace.MaxBytes>>20)
	}
	var r io.Reader = bufio.NewReaderSize(f, 1<<18)
	if !c.Quiet {
		bar := &progress{r: r, w: os.Stderr, size: size, start: time.Now()}
		defer bar.done()
		r = bar
	}
	l, err := trace.Read(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	return l, nil
}

// write makes the file, or leaves what was there as it was.
func (c *traceCmd) write(name string, draw func(io.Writer) error) error {
	flags := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if c.Force {
		flags = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; --force replaces it", name)
	} else if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = draw(w)
	if e := w.Flush(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil && !c.Force {
		_ = os.Remove(name) // ours, half a picture
	}
	return err
}

// progress shows how far a long reading is, once it has taken a moment.
type progress struct {
	r     io.Reader
	w     io.Writer
	size  int64 // 0: not known
	read  int64
	start time.Time
	told  time.Time
	shown bool
}

const (
	progressAfter = 300 * time.Millisecond
	progressEvery = 100 * time.Millisecond
	progressWidth = 30
)

// Read implements io.Reader.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.read += int64(n)
	if now := time.Now(); now.Sub(p.start) >= progressAfter && now.Sub(p.told) >= progressEvery {
		p.told, p.shown = now, true
		fmt.Fprint(p.w, "\r"+p.line())
	}
	return n, err
}

func (p *progress) line() string {
	mib := float64(p.read) / (1 << 20)
	if p.size <= 0 {
		return fmt.Sprintf("reading %.1f MiB", mib)
	}
	share := min(1, float64(p.read)/float64(p.size))
	full := int(share * progressWidth)
	return fmt.Sprintf("reading [%s%s] %3.0f %% of %.1f MiB", strings.Repeat("#", full), strings.Repeat(".", progressWidth-full), share*100, float64(p.size)/(1<<20))
}

func (p *progress) done() {
	if p.shown {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", len(p.line())))
	}
}
