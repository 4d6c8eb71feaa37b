package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/internal/plan"
)

// goSource is what the package store declares.
type goSource struct {
	methods map[string]method  // of *Queries
	structs map[string][]field // their fields
}

type method struct {
	signature string
	params    []field  // without the context
	passed    []string // fields of its Params, in the order of the statement's parameters
	result    string   // the type of the first result, without the slice of a :many
}

type field struct{ name, typ string }

// readGo reads the files that sqlc wrote into dir.
func readGo(dir string) (*goSource, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	s := &goSource{methods: map[string]method{}, structs: map[string][]field{}}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil && source(fset, d.Recv.List[0].Type) == "*Queries" {
					s.methods[d.Name.Name] = method{
						signature: d.Name.Name + strings.TrimPrefix(source(fset, d.Type), "func"),
						params:    fields(fset, d.Type.Params)[1:],
						result:    strings.TrimPrefix(source(fset, d.Type.Results.List[0].Type), "[]"),
					}
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if t, ok := spec.(*ast.TypeSpec); ok {
						if st, ok := t.Type.(*ast.StructType); ok {
							s.structs[t.Name.Name] = fields(fset, st.Fields)
						}
					}
				}
			}
		}
	}
	queries, err := plan.Queries(dir)
	if err != nil {
		return nil, err
	}
	for _, q := range queries {
		if m, ok := s.methods[q.Name]; ok {
			m.passed = q.Args
			s.methods[q.Name] = m
		}
	}
	return s, nil
}

func fields(fset *token.FileSet, list *ast.FieldList) []field {
	var found []field
	for _, f := range list.List {
		for _, n := range f.Names {
			found = append(found, field{name: n.Name, typ: source(fset, f.Type)})
		}
	}
	return found
}

func source(fset *token.FileSet, n ast.Node) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, fset, n); err != nil {
		return fmt.Sprint(err)
	}
	return b.String()
}

// param is how the method takes its n-th of count parameters.
func (s *goSource) param(m method, n, count int) (typ, name string, err error) {
	if len(m.params) == count && count == 1 {
		if fs, ok := s.structs[m.params[0].typ]; !ok || len(fs) != 1 {
			return m.params[0].typ, "", nil
		}
	}
	if len(m.params) == 1 {
		if fs := s.structs[m.params[0].typ]; len(fs) == count && len(m.passed) == count {
			if i := slices.IndexFunc(fs, func(f field) bool { return f.name == m.passed[n] }); i >= 0 {
				return fs[i].typ, fs[i].name, nil
			}
		}
	}
	return "", "", fmt.Errorf("%s doesn't take %d parameters", m.signature, count)
}

// result is how the method returns the n-th of count columns.
func (s *goSource) result(m method, n, count int) (typ, name string, err error) {
	if fs := s.structs[m.result]; len(fs) == count && (count > 1 || strings.HasSuffix(m.result, "Row")) {
		return fs[n].typ, fs[n].name, nil
	}
	if count == 1 {
		return m.result, "", nil
	}
	return "", "", fmt.Errorf("%s doesn't return %d columns", m.signature, count)
}
