package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
)

// mutant is one change of one file.
type mutant struct {
	file string
	line int
	what string // the line as it was, and what was done to it
	text []byte
}

func (m mutant) String() string { return fmt.Sprintf("%s:%d: %s", m.file, m.line, m.what) }

// mutants makes every change of the targets.
func mutants(root string) (all []mutant, err error) {
	var files []string
	for f := range targets {
		files = append(files, f)
	}
	slices.Sort(files)
	for _, f := range files {
		src, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			return nil, err
		}
		list, err := changes(f, src, targets[f])
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// changes makes every change of one file.
func changes(name string, src []byte, funcs []string) (all []mutant, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	emit := func(n ast.Node, what string) {
		var b bytes.Buffer
		if format.Node(&b, set, file) != nil {
			return
		}
		m := mutant{file: name, line: set.Position(n.Pos()).Line, what: what, text: b.Bytes()}
		if equal[fmt.Sprintf("%s: %s", filepath.Base(name), what)] == "" {
			all = append(all, m)
		}
	}
	text := func(n ast.Node) string {
		b := src[set.Position(n.Pos()).Offset:set.Position(n.End()).Offset]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[:i]
		}
		return string(b)
	}
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || !slices.Contains(funcs, fn.Name.Name) {
			continue
		}
		found[fn.Name.Name] = true
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			change(n, func(x ast.Node, how string) { emit(x, fmt.Sprintf("%s: %s: %s", fn.Name.Name, how, text(x))) })
			return true
		})
	}
	for _, f := range funcs {
		if !found[f] {
			return nil, fmt.Errorf("%s has no %s any more", name, f)
		}
	}
	return all, nil
}

// change does to a node all that can be done, calls done for each and undoes it.
func change(n ast.Node, done func(x ast.Node, how string)) {
	switch x := n.(type) {
	case *ast.BlockStmt:
		without(x.List, done)
	case *ast.CaseClause:
		without(x.Body, done)
	case *ast.CompositeLit:
		for i := range x.Elts {
			if _, ok := x.Elts[i].(*ast.KeyValueExpr); ok {
				old, gone := x.Elts, x.Elts[i]
				x.Elts = slices.Delete(slices.Clone(old), i, i+1)
				done(gone, "without")
				x.Elts = old
			}
		}
	case *ast.IfStmt:
		old := x.Cond
		x.Cond = &ast.UnaryExpr{Op: token.NOT, X: &ast.ParenExpr{X: old}}
		done(old, "not")
		x.Cond = old
	case *ast.BinaryExpr:
		if other, ok := map[token.Token]token.Token{token.ADD: token.SUB, token.SUB: token.ADD}[x.Op]; ok {
			old := x.Op
			x.Op = other
			done(x, other.String())
			x.Op = old
		}
	}
}

// without leaves out statement by statement: assignments, steps, calls.
func without(list []ast.Stmt, done func(ast.Node, string)) {
	for i, s := range list {
		switch y := s.(type) {
		case *ast.ExprStmt, *ast.IncDecStmt:
		case *ast.AssignStmt:
			if y.Tok == token.DEFINE {
				continue
			}
		default:
			continue
		}
		list[i] = &ast.EmptyStmt{Semicolon: s.Pos()}
		done(s, "without")
		list[i] = s
	}
}
