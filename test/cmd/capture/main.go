// Command capture records what a browser sends, as a server has it after SRTP:
// plaintext RTP with its header extensions and arrival times. It serves a page
// on loopback that publishes in the asked manner, answers its offer and writes
// one rtpdump file and one JSON description a recording.
//
//	capture -dir DIR        prints the page's address; see test/e2e/captures.mjs
//
// The files are replayed by tests of layer selection, so every stream gets a
// key-frame request now and then.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

//go:embed page.html
var page []byte

// named keeps names within the directory.
var named = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// ask is what the page posts.
type ask struct {
	Name    string `json:"name"`
	Browser string `json:"browser"`
	SDP     string `json:"sdp"`
	Want    any    `json:"want"` // the page's own settings, kept in the description
	Millis  int    `json:"millis"`
}

func main() {
	dir := flag.String("dir", "", "where the files go")
	listen := flag.String("listen", "127.0.0.1:0", "address of the page")
	flag.Parse()
	if err := run(*dir, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func run(dir, listen string) error {
	if dir == "" {
		return errors.New("-dir is needed")
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("POST /record", func(w http.ResponseWriter, r *http.Request) {
		if err := record(w, r, dir); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	fmt.Printf("http://%s/\n", l.Addr())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// record answers an offer at once and writes the files when the time is over.
// The page reads the answer's first line, the description of the files ends it.
func record(w http.ResponseWriter, r *http.Request, dir string) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return err
	}
	var a ask
	if err := json.Unmarshal(b, &a); err != nil {
		return err
	}
	if !named.MatchString(a.Name) || a.Millis <= 0 || a.Millis > 60_000 {
		return errors.New("no such recording")
	}
	rec, answer, err := newRecording(r.Context(), a)
	if err != nil {
		return err
	}
	defer rec.close()
	out := json.NewEncoder(w)
	if err := out.Encode(map[string]string{"sdp": answer}); err != nil {
		return err
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return err
	}
	if err := rec.wait(r.Context(), time.Duration(a.Millis)*time.Millisecond); err != nil {
		return out.Encode(map[string]string{"error": err.Error()})
	}
	d, err := rec.save(filepath.Join(dir, a.Name))
	if err != nil {
		return out.Encode(map[string]string{"error": err.Error()})
	}
	return out.Encode(d)
}
