package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/internal/catalog"
)

const generated = "<!-- Written by `make review`. Do not edit. -->\n\n"

// pageName is the page of a file of queries/: session.md for session.sql.
func pageName(file string) string { return strings.TrimSuffix(file, ".sql") + ".md" }

func anchor(heading string) string { return "#" + strings.ToLower(heading) }

// queryPages renders docs/queries: a page for each file, and the index, by file name.
func queryPages(c *catalog.Catalog) map[string]string {
	pages := map[string]string{"README.md": indexPage(c)}
	for _, file := range files(c) {
		pages[pageName(file)] = filePage(c, file)
	}
	return pages
}

func files(c *catalog.Catalog) []string {
	var found []string
	for _, q := range c.Queries {
		found = append(found, q.File)
	}
	return slices.Compact(found)
}

func indexPage(c *catalog.Catalog) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Queries

%sEvery call of the data layer: one SQL statement, one round trip. A page for each file of
[queries/](../../queries), with the contract, the SQL, what is read, written and locked, and the plan. The tables are in
[schema.md](../schema.md).

How to read the pages:

- **Row locks** are held until the transaction ends. Weakest first, they are FOR KEY SHARE, FOR SHARE, FOR NO KEY UPDATE and FOR
  UPDATE; a row locked FOR KEY SHARE can still be updated, but neither deleted nor given another key. Beside those that a
  statement asks for, the pages list those that come with UPDATE, DELETE and ON CONFLICT DO UPDATE, and with foreign keys: these
  lock nothing where their columns are NULL. Which rows there are depends on the outcome; the pages list all that may be.
- **Plans** are PostgreSQL %d's, for any parameters (generic plans), on a sample of some %s authorizations, with default settings
  but for random_page_cost = 1.1 and no parallel workers. They tell which index is used and what is sorted; costs are left out. `+"`oauthdb explain NAME`"+`
  shows the plan of the database that it is pointed at, and how it differs.
- **Rules** for plans are held by the tests of internal/plan, on two sizes of that sample, for the generic and the custom plan of each
  query and for what functions and triggers run: no table that grows is read from end to end, every index is entered by a condition,
  and nothing that is sorted or hashed grows with a table.
- **Functions** that are expressions are inlined, so that the plan shows their bodies. The statements of functions in PL/pgSQL have
  no plan here; what they read, write and lock is listed.

`, generated, c.PostgreSQL, thousands(referenceSize))
	for _, file := range files(c) {
		fmt.Fprintf(&b, "## [%s](%s)\n\n", strings.TrimSuffix(file, ".sql"), pageName(file))
		b.WriteString(overview(c, file, pageName(file)))
		b.WriteString("\n")
	}
	return b.String()
}

// overview is the table of a file's queries; page is where their sections are, empty if on this page.
func overview(c *catalog.Catalog, file, page string) string {
	var b strings.Builder
	b.WriteString("| Query | Kind | Reads | Writes | Strongest row lock | Indexes |\n| :-- | :-- | :-- | :-- | :-- | :-- |\n")
	for _, q := range c.Queries {
		if q.File != file {
			continue
		}
		lock := ""
		if s := q.Strongest(); s > 0 {
			lock = s.String()
		}
		var indexes []string
		for _, x := range q.Indexes {
			indexes = append(indexes, code(x.Name))
		}
		fmt.Fprintf(&b, "| [%s](%s%s) | :%s | %s | %s | %s | %s |\n", q.Name, page, anchor(q.Name), q.Kind,
			strings.Join(tablesOf(q.Reads, ""), "<br>"), strings.Join(tablesOf(q.Writes, ""), "<br>"), lock,
			strings.Join(uniq(indexes), "<br>"))
	}
	return b.String()
}

func filePage(c *catalog.Catalog, file string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s[queries/%s](../../queries/%s) · [all queries](README.md) · [schema](../schema.md)\n\n",
		strings.TrimSuffix(file, ".sql"), generated, file, file)
	b.WriteString(overview(c, file, ""))
	for _, q := range c.Queries {
		if q.File == file {
			b.WriteString("\n" + section(c, q))
		}
	}
	return b.String()
}

// section renders one query.
func section(c *catalog.Catalog, q catalog.Query) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", q.Name, prose(c, q))
	fmt.Fprintf(&b, "```go\n%s\n```\n\n", q.Signature)

	b.WriteString("| | |\n| :-- | :-- |\n")
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", name, text)
		}
	}
	row("Answers", answers(q))
	row("Round trips", "1")
	row("Reads", strings.Join(tablesOf(q.Reads, "../schema.md"), ", "))
	row("Writes", strings.Join(tablesOf(q.Writes, "../schema.md"), ", "))
	row("Calls", join(q.Functions, func(f string) string { return link(code(f+"()"), "../schema.md#functions") }))
	row("Indexes", join(q.Indexes, func(x catalog.Index) string {
		return code(x.Name) + through(x.Through)
	}))
	for _, e := range q.Exceptions {
		row("Exception", fmt.Sprintf("from the rule “%s”: %s", e.Rule, cell(e.Reason)))
	}
	b.WriteString("\n")

	valueTable(&b, "Parameters", q.Params)
	valueTable(&b, "Result", q.Columns)
	locks(&b, q.Locks)
	fired(&b, q.Fires)

	fmt.Fprintf(&b, "<details><summary>SQL</summary>\n\n```sql\n%s\n```\n\n</details>\n\n", q.SQL)
	fmt.Fprintf(&b, "<details><summary>Plan</summary>\n\n```text\n%s\n```\n\n", q.Plan)
	for _, in := range q.Inner {
		fmt.Fprintf(&b, "Through function %s:\n\n```text\n%s\n```\n\n", code(in.Function), in.Plan)
	}
	b.WriteString("</details>\n")
	return b.String()
}
