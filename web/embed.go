package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// Assets is web/dist as built; paths begin with "dist/".
//
//go:embed dist
var Assets embed.FS

// Policy is the Content-Security-Policy every page is served with: no inline
// script or style, nothing from other hosts. WebSocket origins are named by
// scheme because older Safari does not count them as 'self'.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
	"font-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob: mediastream:; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Files returns the built client rooted at web/dist.
func Files() fs.FS {
	sub, err := fs.Sub(Assets, "dist")
	if err != nil {
		panic("web: dist is not embedded: " + err.Error()) // the embed directive makes this impossible
	}
	return sub
}

// Index returns the one page of the client; it is served at / and at /r/{conference}.
func Index() []byte {
	page, err := Assets.ReadFile("dist/index.html")
	if err != nil {
		panic("web: dist has no index.html: " + err.Error())
	}
	return page
}

// Handler serves the client: the page at "/" and "/r/{conference}", the files
// beside it, 404 for everything else. Files under assets/ carry a hash of their
// content in the name and are cached for good; the page is revalidated.
func Handler() http.Handler {
	index, files := Index(), Files()
	sum := sha256.Sum256(index)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		secure(w.Header())
		if isPage(r.URL.Path) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("ETag", tag)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(index))
			return
		}
		serveFile(w, r, files)
	})
}

// isPage tells whether the path shows the client: the start page or one room.
func isPage(p string) bool {
	if p == "/" {
		return true
	}
	room, ok := strings.CutPrefix(p, "/r/")
	return ok && room != "" && !strings.Contains(room, "/")
}

func serveFile(w http.ResponseWriter, r *http.Request, files fs.FS) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	body, err := fs.ReadFile(files, name)
	if err != nil || name == "index.html" || strings.HasPrefix(path.Base(name), ".") {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if kind := contentType(name); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	if strings.HasPrefix(name, "assets/") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "public, max-age=3600")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// contentType does not ask the system's mime tables for the types that matter:
// a machine without them would serve scripts as text/plain, which nosniff refuses.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // room addresses are invitations
	h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), geolocation=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}
