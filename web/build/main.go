// Command build turns the TypeScript of web/sdk and web/app into web/dist with
// esbuild's Go package: no Node is needed, only the npm packages in
// web/node_modules (`npm ci` in web). Run it here: `go run .`, or `go run .
// -check` to fail instead of writing when web/dist is not what the sources give.
//
// It is a module of its own so that the server's module stays free of the
// bundler. Output is deterministic for pinned versions.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// target is the oldest browsers of which the client uses only what they have
// (top-level await is not used; transceivers, replaceTrack and class fields are).
var target = []api.Engine{
	{Name: api.EngineChrome, Version: "96"},
	{Name: api.EngineFirefox, Version: "100"},
	{Name: api.EngineSafari, Version: "15.4"},
}

func main() {
	log.SetFlags(0)
	web := flag.String("web", "..", "the web directory")
	check := flag.Bool("check", false, "compare with web/dist instead of writing")
	flag.Parse()
	if err := os.Chdir(*web); err != nil {
		log.Fatal(err)
	}
	files, err := build()
	if err != nil {
		log.Fatal(err)
	}
	if *check {
		err = compare(files)
	} else {
		err = write(files)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// build returns the files of dist by slash-separated name.
func build() (map[string][]byte, error) {
	files := map[string][]byte{}
	// A classic script: workers that are modules are younger than the oldest target.
	worker, _, err := bundle(files, "sdk/e2ee/worker.ts", "e2ee", api.FormatIIFE, nil)
	if err != nil {
		return nil, err
	}
	script, style, err := bundle(files, "app/main.tsx", "parley", api.FormatESModule, map[string]string{
		"process.env.NODE_ENV": `"production"`,
		"PARLEY_E2EE_WORKER":   `"/` + worker + `"`,
	})
	if err != nil {
		return nil, err
	}
	return files, static(files, script, style)
}

// bundle adds what an entry point becomes and returns the names of its script and
// its style sheet.
func bundle(files map[string][]byte, input, output string, format api.Format, define map[string]string) (script, style string, err error) {
	result := api.Build(api.BuildOptions{
		EntryPointsAdvanced: []api.EntryPoint{{InputPath: input, OutputPath: output}},
		Bundle:              true,
		Format:              format,
		Engines:             target,
		MinifyWhitespace:    true,
		MinifyIdentifiers:   true,
		MinifySyntax:        true,
		Charset:             api.CharsetUTF8,
		LegalComments:       api.LegalCommentsNone,
		JSX:                 api.JSXAutomatic,
		JSXImportSource:     "preact",
		EntryNames:          "[name]-[hash]",
		Outdir:              "dist/assets",
		Define:              define,
		LogLevel:            api.LogLevelInfo,
	})
	if len(result.Errors) > 0 {
		return "", "", errors.New("build failed; are the packages installed (npm ci in web)?")
	}
	for _, out := range result.OutputFiles {
		name := "assets/" + filepath.Base(out.Path)
		files[name] = out.Contents
		switch path.Ext(name) {
		case ".js":
			script = name
		case ".css":
			style = name
		}
	}
	return script, style, nil
}

// static adds web/static; the page gets the hashed names of script and style.
func static(files map[string][]byte, script, style string) error {
	return fs.WalkDir(os.DirFS("static"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		body, err := os.ReadFile(filepath.Join("static", filepath.FromSlash(name)))
		if name == "index.html" {
			page := strings.NewReplacer("/app.js", "/"+script, "/app.css", "/"+style).Replace(string(body))
			body = []byte(page)
		}
		files[name] = body
		return err
	})
}

func write(files map[string][]byte) error {
	if err := os.RemoveAll("dist"); err != nil {
		return err
	}
	total := 0
	for name, body := range files {
		full := filepath.Join("dist", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, body, 0o644); err != nil {
			return err
		}
		total += len(body)
	}
	sum, err := sums(files)
	if err != nil {
		return err
	}
	fmt.Printf("web/dist: %d files, %d bytes\n", len(files), total)
	return os.WriteFile("dist/.sources.sha256", []byte(sum), 0o644)
}

// compare is the check for those who have the npm packages: a rebuild must give
// the committed files exactly.
func compare(files map[string][]byte) error {
	var stale []string
	for name, body := range files {
		have, err := os.ReadFile(filepath.Join("dist", filepath.FromSlash(name)))
		if err != nil || string(have) != string(body) {
			stale = append(stale, name)
		}
	}
	sum, err := sums(files)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile("dist/.sources.sha256"); err != nil || string(have) != sum {
		stale = append(stale, ".sources.sha256")
	}
	if len(stale) > 0 {
		sort.Strings(stale)
		return fmt.Errorf("web/dist is stale: %s (run: cd web/build && go run .)", strings.Join(stale, ", "))
	}
	fmt.Println("web/dist is what the sources give")
	return nil
}

// sums is the record that web's own Go test recomputes without Node; the recipe
// there must stay equal to this one.
func sums(files map[string][]byte) (string, error) {
	names := []string{"package.json", "package-lock.json", "tsconfig.json", "build/main.go", "build/go.mod", "build/go.sum"}
	for _, dir := range []string{"sdk", "app", "static"} {
		err := fs.WalkDir(os.DirFS("."), dir, func(name string, d fs.DirEntry, err error) error {
			base := path.Base(name)
			if err == nil && !d.IsDir() && !strings.HasPrefix(base, ".") && !strings.Contains(base, ".test.") {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	src := map[string][]byte{}
	for _, name := range names {
		body, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			return "", err
		}
		src[name] = body
	}
	dist := map[string][]byte{}
	for name, body := range files {
		dist["dist/"+name] = body
	}
	return "sources " + hashTree(src) + "\ndist " + hashTree(dist) + "\n", nil
}

func hashTree(files map[string][]byte) string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	h := sha256.New()
	for _, name := range names {
		sum := sha256.Sum256(files[name])
		h.Write([]byte(hex.EncodeToString(sum[:]) + "  " + name + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}
