package web

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// The recipe below must stay equal to web/build (a module of its own, so that
// the server's module does not depend on the bundler).

func hashTree(t *testing.T, names []string) string {
	t.Helper()
	sort.Strings(names)
	h := sha256.New()
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		h.Write([]byte(hex.EncodeToString(sum[:]) + "  " + name + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sources(t *testing.T) []string {
	t.Helper()
	names := []string{"package.json", "package-lock.json", "tsconfig.json", "build/main.go", "build/go.mod", "build/go.sum"}
	for _, dir := range []string{"sdk", "app", "static"} {
		names = append(names, walk(t, dir, func(name string) bool { return !strings.Contains(path.Base(name), ".test.") })...)
	}
	return names
}

func walk(t *testing.T, dir string, keep func(string) bool) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS("."), dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && keep(name) && !strings.HasPrefix(path.Base(name), ".") {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestDistIsFresh fails when web/dist was not rebuilt after a change of its
// sources, or was edited by hand. It needs no Node.
func TestDistIsFresh(t *testing.T) {
	recorded, err := os.ReadFile("dist/.sources.sha256")
	if err != nil {
		t.Fatalf("%v (run: cd web/build && go run .)", err)
	}
	dist := walk(t, "dist", func(string) bool { return true })
	want := "sources " + hashTree(t, sources(t)) + "\ndist " + hashTree(t, dist) + "\n"
	if string(recorded) != want {
		t.Errorf("web/dist is stale; rebuild it: cd web/build && go run .\nrecorded:\n%swant:\n%s", recorded, want)
	}
}

func get(t *testing.T, target string) *http.Response {
	t.Helper()
	rec := httptest.NewRecorder()
	Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, target, nil))
	return rec.Result()
}

func TestHandlerServesPageAndFiles(t *testing.T) {
	for _, target := range []string{"/", "/r/stand-up", "/r/%E4%BC%9A%E8%AE%AE"} {
		res := get(t, target)
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("GET %s: %d %s", target, res.StatusCode, res.Header.Get("Content-Type"))
		}
		if res.Header.Get("Content-Security-Policy") != Policy {
			t.Errorf("GET %s: no policy", target)
		}
	}
	for _, target := range []string{"/r/", "/r/a/b", "/index.html", "/.sources.sha256", "/assets/", "/nothing", "/../go.mod"} {
		if res := get(t, target); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", target, res.StatusCode)
		}
	}
	refs := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(string(Index()), -1)
	if len(refs) < 2 {
		t.Fatalf("the page names %d files, want a script and a style sheet at least", len(refs))
	}
	for _, ref := range refs {
		res := get(t, ref[1])
		if res.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %d", ref[1], res.StatusCode)
		}
		if strings.HasPrefix(ref[1], "/assets/") && !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("GET %s: not cached for good", ref[1])
		}
	}
}

// TestPageHasNothingInline: the policy refuses inline script and style, so the page must hold none.
func TestPageHasNothingInline(t *testing.T) {
	page := string(Index())
	for _, bad := range []string{"<style", " style=", "javascript:", " onclick=", " onload="} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, tag := range regexp.MustCompile(`<script[^>]*>`).FindAllString(page, -1) {
		if !strings.Contains(tag, "src=") {
			t.Errorf("inline script: %s", tag)
		}
	}
}

func TestHandlerRefusesOtherMethods(t *testing.T) {
	rec := httptest.NewRecorder()
	Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/", nil))
	if rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") == "" {
		t.Errorf("POST /: %d, Allow %q", rec.Code, rec.Header().Get("Allow"))
	}
}

func TestLockFilesNameNoRegistry(t *testing.T) {
	for _, name := range []string{"package-lock.json", "../test/e2e/package-lock.json"} {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), `"resolved"`) {
			t.Errorf("%s holds registry addresses; keep .npmrc's omit-lockfile-registry-resolved", name)
		}
	}
}
