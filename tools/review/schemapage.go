package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/internal/plan"
)

// schemaPage renders docs/schema.md.
func schemaPage(s *schema) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Schema\n\n%sThe tables as [migrations/](../migrations) make them, from the catalog of a migrated database. [db/schema.sql](../db/schema.sql) is\nthe same as a dump; [queries/](queries/README.md) says what is done with it.\n\n", generated)
	for _, t := range s.tables {
		fmt.Fprintf(&b, "- %s: %s\n", link(code(t.Name), anchor(t.Name)), escape(t.Comment))
	}
	b.WriteString("- " + link("Enums", "#enums") + ", " + link("domains", "#domains") + ", " + link("functions", "#functions") + "\n\n")

	b.WriteString("```mermaid\nerDiagram\n")
	for _, t := range s.tables {
		for _, f := range t.Foreign {
			one := "||" // the row that is referred to is there, or may not be
			for _, c := range t.Columns {
				if slices.Contains(f.Columns, c.Name) && !c.NotNull {
					one = "|o"
				}
			}
			fmt.Fprintf(&b, "    %s %s--o{ %s : \"%s\"\n", f.RefTable, one, t.Name, strings.Join(f.Columns, ", "))
		}
	}
	for _, t := range s.tables {
		fmt.Fprintf(&b, "    %s {\n", t.Name)
		for _, c := range t.Columns {
			var keys []string
			if slices.ContainsFunc(t.Indexes, func(x index) bool { return x.Primary && slices.Contains(x.Columns, c.Name) }) {
				keys = append(keys, "PK")
			}
			if slices.ContainsFunc(t.Foreign, func(f foreignKey) bool { return slices.Contains(f.Columns, c.Name) }) {
				keys = append(keys, "FK")
			}
			if slices.ContainsFunc(t.Indexes, func(x index) bool { return x.Unique && !x.Primary && slices.Equal(x.Columns, []string{c.Name}) }) {
				keys = append(keys, "UK")
			}
			line := strings.ReplaceAll(c.Type, " ", "_") + " " + c.Name
			if len(keys) > 0 {
				line += " " + strings.Join(keys, ", ")
			}
			fmt.Fprintf(&b, "        %s\n", line)
		}
		b.WriteString("    }\n")
	}
	b.WriteString("```\n")

	for _, t := range s.tables {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", t.Name, escape(t.Comment))
		b.WriteString("| Column | Type | NULL | Default | |\n| :-- | :-- | :-- | :-- | :-- |\n")
		for _, c := range t.Columns {
			null := "yes"
			if c.NotNull {
				null = ""
			}
			text := cell(s.describe(t, c))
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", code(c.Name), code(c.Type), null, code(c.Default), text)
		}
		if len(t.Foreign) > 0 {
			b.WriteString("\n| Foreign key | Refers to | ON DELETE |\n| :-- | :-- | :-- |\n")
			for _, f := range t.Foreign {
				fmt.Fprintf(&b, "| %s (%s) | %s (%s) | %s |\n", code(f.Name), join(f.Columns, code),
					link(code(f.RefTable), anchor(f.RefTable)), join(f.RefColumns, code), f.OnDelete)
			}
		}
		if refers := s.referring(t.Name); len(refers) > 0 {
			b.WriteString("\nReferred to by " + join(refers, func(f foreignKey) string {
				return fmt.Sprintf("%s (%s)", link(code(f.Table), anchor(f.Table)), join(f.Columns, code))
			}) + ".\n")
		}
		b.WriteString("\n| Index | Columns | |\n| :-- | :-- | :-- |\n")
		for _, x := range t.Indexes {
			kind := ""
			switch {
			case x.Primary:
				kind = "primary key"
			case x.Unique:
				kind = "unique"
			}
			if method, _, _ := strings.Cut(x.Definition, " "); method != "btree" {
				kind = strings.TrimSpace(kind + " " + method)
			}
			if x.Predicate != "" {
				kind = strings.TrimPrefix(kind+", where "+code(x.Predicate), ", ")
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", code(x.Name), join(x.Columns, code), kind)
		}
		if len(t.Checks) > 0 {
			b.WriteString("\n| Check | |\n| :-- | :-- |\n")
			for _, c := range t.Checks {
				fmt.Fprintf(&b, "| %s | %s |\n", code(c.Name), code(c.Expression))
			}
		}
		if len(t.Triggers) > 0 {
			b.WriteString("\n| Trigger | |\n| :-- | :-- |\n")
			for _, g := range t.Triggers {
				fmt.Fprintf(&b, "| %s | %s |\n", code(g.Name), code(g.Definition))
			}
		}
	}

	b.WriteString("\n## Enums\n\n| Type | Values | |\n| :-- | :-- | :-- |\n")
	for _, e := range s.enums {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(e.Name), join(e.Values, code), cell(e.Comment))
	}
	b.WriteString("\n## Domains\n\n| Domain | Over | |\n| :-- | :-- | :-- |\n")
	for _, d := range s.domains {
		over := code(d.Type)
		for _, c := range d.Checks {
			over += " " + code(c)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(d.Name), over, cell(d.Comment))
	}
	b.WriteString("\n## Functions\n")
	for _, f := range s.functions {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", signature(f), escape(s.comments[f.Name]))
		fmt.Fprintf(&b, "<details><summary>SQL</summary>\n\n```sql\n%s\n```\n\n</details>\n", strings.Trim(cmp.Or(s.written[f.Name], f.Body), "\n"))
	}
	return b.String()
}

// writtenBodies are the bodies of the functions that PostgreSQL has parsed, and so keeps without comments and in a form of its own, as
// routines/ has them.
func writtenBodies(root string, functions []plan.Function) (map[string]string, error) {
	written := map[string]string{}
	for _, f := range functions {
		if !strings.HasPrefix(f.Body, "RETURN ") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, "routines", f.Name+".sql"))
		if err != nil {
			return nil, err
		}
		_, body, _ := strings.Cut(string(text), "\nLANGUAGE ")
		_, body, _ = strings.Cut(body, "\n")
		body, _, found := strings.Cut(body, ";\n")
		if !found {
			return nil, fmt.Errorf("routines/%s.sql: the body isn't found", f.Name)
		}
		written[f.Name] = body
	}
	return written, nil
}

func signature(f plan.Function) string {
	var args []string
	for i, t := range f.ArgTypes {
		name := ""
		if i < len(f.Args) {
			name = f.Args[i]
		}
		args = append(args, strings.TrimSpace(name+" "+t))
	}
	return f.Name + "(" + strings.Join(args, ", ") + ")"
}
