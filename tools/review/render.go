package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/oauthdb/oauthdb/internal/catalog"
)

var (
	rfc       = regexp.MustCompile(`RFC (\d+)(?:, section (\d+(?:\.\d+)*))?`)
	snakeCase = regexp.MustCompile(`\b[a-z][a-z0-9]*(_[a-z0-9]+)+\b`)
	goName    = regexp.MustCompile(`\b[A-Z][A-Za-z]+\b`)
)

// prose renders the contract, with a list of what it says of each outcome.
func prose(c *catalog.Catalog, q catalog.Query) string {
	var b strings.Builder
	listed := false
	for i, p := range q.Paragraphs() {
		outcome := p.Outcome != ""
		switch {
		case i == 0:
		case outcome && listed:
			b.WriteString("\n")
		default:
			b.WriteString("\n\n")
		}
		listed = outcome
		if outcome {
			b.WriteString("- **" + p.Outcome + "**")
			if p.Text != "" {
				b.WriteString(": ")
			}
		}
		b.WriteString(sentences(c, q, p.Text))
	}
	return b.String()
}

// sentences renders text in which references are links, and names stand out.
func sentences(c *catalog.Catalog, q catalog.Query, text string) string {
	text = escape(text)
	text = snakeCase.ReplaceAllString(text, "`$0`")
	text = rfc.ReplaceAllStringFunc(text, func(s string) string {
		m := rfc.FindStringSubmatch(s)
		to := "https://www.rfc-editor.org/rfc/rfc" + m[1]
		if m[2] != "" {
			to += "#section-" + m[2]
		}
		return link(s, to)
	})
	return goName.ReplaceAllStringFunc(text, func(name string) string {
		other, ok := c.Query(name)
		switch {
		case !ok:
			return name
		case name == q.Name:
			return "**" + name + "**"
		case other.File == q.File:
			return link(name, anchor(name))
		}
		return link(name, pageName(other.File)+anchor(name))
	})
}

// escape keeps text from being taken for Markdown or HTML.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "<", "&lt;", ">", "&gt;", "*", `\*`, "`", "\\`", "[", `\[`, "]", `\]`).Replace(s)
}

// cell makes text fit for a cell of a table.
func cell(s string) string { return strings.ReplaceAll(escape(s), "|", `\|`) }

// code sets text in a fixed font, also in a cell of a table.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
}

func link(text, to string) string { return "[" + text + "](" + to + ")" }

func join[T any](list []T, render func(T) string) string {
	var texts []string
	for _, x := range list {
		texts = append(texts, render(x))
	}
	return strings.Join(uniq(texts), ", ")
}

// uniq leaves out what has come before.
func uniq(list []string) []string {
	var found []string
	for _, s := range list {
		if !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	return found
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	if len(s) > 3 {
		s = s[:len(s)-3] + "," + s[len(s)-3:]
	}
	return s
}

// through says by which way something comes about that the statement does not say.
func through(way string) string {
	if kind, name, ok := strings.Cut(way, " "); ok && kind == "function" {
		return " through function " + code(name)
	} else if i := strings.LastIndex(way, " "); i >= 0 && kind != "" {
		return " through " + way[:i] + " " + code(way[i+1:])
	}
	return ""
}

func answers(q catalog.Query) string {
	switch q.Kind {
	case "one":
		return "one row; none is `pgx.ErrNoRows`"
	case "many":
		return "any number of rows"
	case "execrows":
		return "the number of rows written"
	case "exec":
		return "nothing"
	}
	return ":" + q.Kind
}

// tablesOf lists tables, each once with all that is done to it; schema is the page to link them to, empty for none.
func tablesOf(list []catalog.Access, schema string) []string {
	var names []string
	how := map[string][]string{}
	for _, a := range list {
		names = append(names, a.Table)
		if a.How == "select" {
			how[a.Table] = append(how[a.Table], strings.TrimSpace(through(a.Through)))
			continue
		}
		verb := a.How
		if schema != "" || strings.HasPrefix(a.Through, "foreign key") {
			verb += shortThrough(a.Through)
		}
		how[a.Table] = append(how[a.Table], verb)
	}
	var texts []string
	for _, n := range uniq(names) {
		text := code(n)
		if schema != "" {
			text = link(text, schema+anchor(n))
		}
		ways := uniq(how[n])
		if slices.Contains(ways, "") { // also directly
			ways = nil
		}
		if len(ways) > 0 && (schema != "" || list[0].How != "select") {
			text += " (" + strings.Join(ways, ", ") + ")"
		}
		texts = append(texts, text)
	}
	return texts
}

func shortThrough(way string) string {
	switch {
	case strings.HasPrefix(way, "foreign key "):
		return " by foreign key"
	case strings.HasPrefix(way, "function "):
		return " through function " + code(strings.TrimPrefix(way, "function "))
	}
	return ""
}

func valueTable(b *strings.Builder, title string, list []catalog.Value) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "**%s**\n\n| Name | Type | NULL | Go |\n| :-- | :-- | :-- | :-- |\n", title)
	for _, v := range list {
		null := ""
		if v.Nullable {
			null = "yes"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(v.Name), code(v.Type), null, code(strings.TrimSpace(v.Field+" "+v.Go)))
	}
	b.WriteString("\n")
}

// locks renders the row locks: those that the statement takes as it goes, then those of foreign keys, which follow at its
// end.
func locks(b *strings.Builder, list []catalog.Lock) {
	if len(list) == 0 {
		return
	}
	b.WriteString("**Row locks**, in the order in which they are written\n\n| Rows of | Lock | Taken by |\n| :-- | :-- | :-- |\n")
	strength := func(l catalog.Lock) string {
		if len(l.Keys) == 0 {
			return l.Strength.String()
		}
		return fmt.Sprintf("%s; FOR UPDATE if %s changes", l.Strength, join(l.Keys, code))
	}
	type group struct{ table, lock string }
	var order []group
	byKeys := map[group][]string{}
	for _, l := range list {
		name, key := strings.CutPrefix(l.By, "foreign key ")
		action, acts := strings.CutPrefix(l.Through, "foreign key ")
		switch {
		case key:
			name, condition, _ := strings.Cut(name, ",")
			if condition != "" {
				condition = "," + condition
			}
			g := group{l.Table, strength(l)}
			order, byKeys[g] = append(order, g), append(byKeys[g], code(name)+condition)
		case acts:
			g := group{l.Table, strength(l)}
			order, byKeys[g] = append(order, g), append(byKeys[g], code(action)+" ("+strings.ToLower(l.By)+")")
		default:
			by := l.By
			if strings.HasPrefix(by, "FOR ") {
				by = "the clause"
			}
			if l.Within != "" {
				by += " in " + code(l.Within)
			}
			by += through(l.Through)
			if l.Wait != "" {
				by += "; **" + l.Wait + "**"
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", code(l.Table), strength(l), by)
		}
	}
	for i, g := range order {
		if slices.Contains(order[:i], g) {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | at the end, foreign keys %s |\n", code(g.table), g.lock, strings.Join(uniq(byKeys[g]), ", "))
	}
	b.WriteString("\n")
}

// fired renders the constraints and triggers, event by event.
func fired(b *strings.Builder, list []catalog.Fire) {
	if len(list) == 0 {
		return
	}
	b.WriteString("**Constraints and triggers** that fire\n\n")
	var events []string
	for _, f := range list {
		events = append(events, f.On)
	}
	for _, on := range uniq(events) {
		i := strings.LastIndex(on, " ")
		fmt.Fprintf(b, "- %s %s\n", on[:i], code(on[i+1:]))
		for _, kind := range []string{"unique", "exclusion", "foreign key", "check", "trigger"} {
			var names []string
			for _, f := range list {
				if f.On != on || f.Kind != kind {
					continue
				}
				text := code(f.Name)
				if f.Does != "" {
					text += " " + cell(f.Does)
				}
				names = append(names, text)
			}
			if len(names) > 0 {
				fmt.Fprintf(b, "  - %s: %s\n", kind, strings.Join(uniq(names), "; "))
			}
		}
	}
	b.WriteString("\n")
}
