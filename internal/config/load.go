package config

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile caps a configuration file; the full reference is under 8 KiB.
const maxFile = 1 << 20

// FileError says where in a file and why: the operator's editor can jump there.
type FileError struct {
	File   string
	Line   int
	Key    string
	Reason string
}

// Error implements error as FILE:LINE: KEY: reason.
func (e *FileError) Error() string {
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Key, e.Reason)
}

// value is one scalar of the file.
type value struct {
	text string
	line int
}

// File is a parsed YAML file, a kong.Resolver. Keys are flag names; nested
// mappings join with a dot.
type File struct {
	name   string
	values map[string]value
}

// ReadFile reads and parses a YAML file without judging its keys yet.
func ReadFile(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	return Parse(name, b)
}

// Parse parses YAML text; name is for messages.
func Parse(name string, b []byte) (out *File, err error) {
	defer func() { // the parser's own panics on odd input are refusals, not crashes
		if r := recover(); r != nil {
			out, err = nil, &FileError{name, 1, "(file)", "is not YAML"}
		}
	}()
	tree, err := parser.ParseBytes(b, 0)
	if err != nil {
		return nil, yamlError(name, err)
	}
	f := &File{name: name, values: map[string]value{}}
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if err := f.walk("", doc.Body); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// yamlError keeps the first line of the parser's message and finds the line number in it.
func yamlError(name string, err error) error {
	msg := strings.SplitN(err.Error(), "\n", 2)[0]
	line := 1
	if _, e := fmt.Sscanf(msg, "[%d:", &line); e == nil {
		if i := strings.Index(msg, "] "); i >= 0 {
			msg = msg[i+2:]
		}
	}
	return &FileError{name, line, "(file)", msg}
}

func (f *File) walk(prefix string, n ast.Node) error {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if err := f.entry(prefix, v); err != nil {
				return err
			}
		}
		return nil
	case *ast.MappingValueNode:
		return f.entry(prefix, n)
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil
	}
	return &FileError{f.name, line(n.GetToken()), strings.TrimSuffix(prefix, "."), "expected key: value"}
}

func (f *File) entry(prefix string, m *ast.MappingValueNode) error {
	key := prefix + m.Key.GetToken().Value
	at := line(m.Key.GetToken())
	if old, dup := f.values[key]; dup {
		return &FileError{f.name, at, key, fmt.Sprintf("set twice, first on line %d", old.line)}
	}
	switch v := m.Value.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return f.walk(key+".", v)
	case *ast.SequenceNode:
		var parts []string
		for _, item := range v.Values {
			s, ok := scalar(item)
			if !ok {
				return &FileError{f.name, at, key, "list items must be plain values"}
			}
			parts = append(parts, s)
		}
		f.values[key] = value{strings.Join(parts, ","), at}
		return nil
	case *ast.NullNode:
		return &FileError{f.name, at, key, "has no value"}
	default:
		s, ok := scalar(v)
		if !ok {
			return &FileError{f.name, at, key, "must be a plain value"}
		}
		f.values[key] = value{s, at}
		return nil
	}
}

func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func line(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 1
	}
	return t.Position.Line
}

// Resolve implements kong.Resolver. Environment beats the file, and kong asks
// resolvers after it applied the environment, so a set variable hides the file.
func (f *File) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, e := range flag.Envs {
		if _, set := os.LookupEnv(e); set {
			return nil, nil
		}
	}
	v, ok := f.values[flag.Name]
	if !ok {
		return nil, nil
	}
	return v.text, nil
}

// Validate implements kong.Resolver; keys are checked by Check, which knows the command.
func (f *File) Validate(*kong.Application) error { return nil }

// Check judges every key and value of the file against the flags, lowest line first.
func (f *File) Check(flags []*kong.Flag) error {
	byName := map[string]*kong.Flag{}
	var names []string
	for _, fl := range flags {
		byName[fl.Name] = fl
		names = append(names, fl.Name)
	}
	keys := make([]string, 0, len(f.values))
	for k := range f.values {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return f.values[keys[i]].line < f.values[keys[j]].line })
	for _, k := range keys {
		v := f.values[k]
		fl := byName[k]
		if fl == nil || k == "config" || k == "help" {
			return &FileError{f.name, v.line, k, "unknown key" + suggest(k, names)}
		}
		if err := try(fl, v.text); err != nil {
			return &FileError{f.name, v.line, k, err.Error()}
		}
	}
	return nil
}

// try parses text into a scratch value of the flag's type.
func try(fl *kong.Flag, text string) error {
	if fl.Enum != "" && !fl.EnumMap()[text] {
		return fmt.Errorf("%q is not one of %s", text, fl.Enum)
	}
	target := reflect.New(fl.Target.Type()).Elem()
	err := fl.Parse(kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: text}), target)
	if err != nil {
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "--"+fl.Name+": "))
	}
	return nil
}

// suggest names the nearest known key, if one is near.
func suggest(k string, names []string) string {
	best, at := "", 4
	for _, n := range names {
		if d := distance(k, n); d < at {
			best, at = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the Levenshtein distance of two short strings.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := prev
			if a[i-1] != b[j-1] {
				cost = 1 + min(prev, row[j], row[j-1])
			}
			prev, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}

// Where returns file and line of a key set in the file.
func (f *File) Where(key string) (string, int, bool) {
	if f == nil {
		return "", 0, false
	}
	v, ok := f.values[key]
	return f.name, v.line, ok
}
