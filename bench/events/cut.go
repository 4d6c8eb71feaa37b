package main

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
)

// cut runs statements without noted: what stands in its first argument is all that is left.
type cut struct {
	store.DBTX
	done map[string]statement
}

// statement is a text and which of the parameters of the uncut one it has, from 0.
type statement struct {
	sql  string
	kept []int
}

func (c cut) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	s, found := c.done[sql]
	if !found {
		s = withoutNoted(sql, len(args))
		c.done[sql] = s
	}
	kept := make([]any, len(s.kept))
	for i, k := range s.kept {
		kept[i] = args[k]
	}
	return c.DBTX.QueryRow(ctx, s.sql, kept...)
}

var parameter = regexp.MustCompile(`\$[0-9]+`)

// withoutNoted replaces noted(verdict, …) by verdict, and leaves out the parameters that stood nowhere else.
func withoutNoted(sql string, args int) statement {
	const call = "SELECT noted("
	start := strings.Index(sql, call)
	if start < 0 {
		s := statement{sql: sql}
		for i := range args {
			s.kept = append(s.kept, i)
		}
		return s
	}
	verdict, end := -1, -1
	depth := 0
	for i := start + len(call); end < 0; i++ {
		switch sql[i] {
		case '(':
			depth++
		case ')':
			if depth == 0 {
				end = i
			}
			depth--
		case ',':
			if depth == 0 && verdict < 0 {
				verdict = i
			}
		}
	}
	sql = sql[:start] + "SELECT (" + sql[start+len(call):verdict] + sql[end:]

	var kept []int
	numbers := map[string]string{}
	sql = parameter.ReplaceAllStringFunc(sql, func(p string) string {
		if numbers[p] == "" {
			n, _ := strconv.Atoi(p[1:])
			kept = append(kept, n-1)
			numbers[p] = "$" + strconv.Itoa(len(kept))
		}
		return numbers[p]
	})
	return statement{sql, kept}
}
