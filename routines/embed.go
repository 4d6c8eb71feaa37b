// Package routines embeds the source of every SQL function of the schema, a file each. Migrations carry them into databases; the command
// `oauthdb check` compares a database with them.
package routines

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync"
)

// FS has the files NAME.sql.
//
//go:embed *.sql
var FS embed.FS

var head = regexp.MustCompile(`^CREATE OR REPLACE FUNCTION ([a-z_0-9]+)\(`)

// Temporary returns statements that make every function as a temporary one of the same name. Nothing calls those: an unqualified name
// never stands for a temporary function.
var Temporary = sync.OnceValue(func() string {
	files, err := fs.Glob(FS, "*.sql")
	if err != nil {
		panic(err) // the pattern is right
	}
	var b strings.Builder
	b.WriteString("SET LOCAL check_function_bodies = off;\n") // what is made first calls what is made later
	for _, name := range files {
		text, err := FS.ReadFile(name)
		if err != nil {
			panic(err) // it is embedded
		}
		function, _, _ := strings.Cut(string(text), "\nCOMMENT ON FUNCTION ")
		if !head.MatchString(function) {
			panic(fmt.Sprintf("routines: %s doesn't begin with the function", name))
		}
		b.WriteString(head.ReplaceAllString(function, "CREATE FUNCTION pg_temp.$1("))
	}
	return b.String()
})
