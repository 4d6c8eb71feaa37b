// Package catalog describes every query of the data layer: its contract, what it reads, writes and locks, and its reviewed
// plan.
//
// The facts are gathered by tools/review, which writes catalog.json.gz and, from the same facts, the pages of docs/queries: those are
// what a reviewer reads. The package only packs them and hands them out.
package catalog

import (
	"bytes"
	"compress/gzip"
	_ "embed" // for catalog.json.gz
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed catalog.json.gz
var packed []byte

// Reviewed returns the facts that were reviewed with this version of the source. They are the same in every call: nobody
// may change them.
var Reviewed = sync.OnceValues(func() (*Catalog, error) {
	return Unpack(packed)
})

// Pack is the form in which a catalog is kept: JSON, a line for each query, compressed.
func Pack(c *Catalog) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	lines := json.NewEncoder(z)
	if err := lines.Encode(Catalog{PostgreSQL: c.PostgreSQL}); err != nil {
		return nil, err
	}
	for _, q := range c.Queries {
		if err := lines.Encode(q); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Unpack reads what Pack wrote.
func Unpack(packed []byte) (*Catalog, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	var c Catalog
	lines := json.NewDecoder(z)
	if err := lines.Decode(&c); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	for {
		var q Query
		switch err := lines.Decode(&q); err {
		case nil:
			c.Queries = append(c.Queries, q)
		case io.EOF:
			return &c, nil
		default:
			return nil, fmt.Errorf("catalog: %w", err)
		}
	}
}

// Catalog is every query, file by file.
type Catalog struct {
	PostgreSQL int     // the major version that made the plans
	Queries    []Query `json:",omitempty"`
}

// Query finds a query by its name.
func (c *Catalog) Query(name string) (*Query, bool) {
	i := slices.IndexFunc(c.Queries, func(q Query) bool { return q.Name == name })
	if i < 0 {
		return nil, false
	}
	return &c.Queries[i], true
}

// Query is one query.
type Query struct {
	Name      string
	File      string // in queries/: "session.sql"
	Kind      string // sqlc's: one, many, exec, execrows
	Contract  string // the comment above it, a line for each line
	SQL       string // as it was written
	Statement string // as it is sent, with $1, $2 ...
	Signature string // of the method of store.Queries

	Params  []Value `json:",omitempty"` // in the order of $1, $2 ...
	Columns []Value `json:",omitempty"` // of the result

	Reads     []Access `json:",omitempty"` // tables, in the order of the statement
	Writes    []Access `json:",omitempty"`
	Locks     []Lock   `json:",omitempty"` // of rows, in the order of the statement
	Fires     []Fire   `json:",omitempty"`
	Functions []string `json:",omitempty"` // of the schema, that it calls
	Indexes   []Index  `json:",omitempty"` // that the plan reads, by name

	Exceptions []Exception `json:",omitempty"` // from the rules that plans are held to
	Plan       string
	Inner      []Inner `json:",omitempty"` // plans of the functions
}

// ReadOnly says whether the query neither writes nor locks rows, so that a transaction that is read only may run it.
func (q *Query) ReadOnly() bool { return len(q.Writes) == 0 && len(q.Locks) == 0 }

// Paragraph is a part of a contract.
type Paragraph struct {
	Outcome string // that the text is about, if it is about one: "replayed"
	Text    string // of an outcome that says all by its name, empty
}

// Paragraphs takes the contract apart: what it says of each outcome, and the rest.
func (q *Query) Paragraphs() []Paragraph {
	if item.MatchString(q.Contract) {
		return q.list()
	}
	text := strings.ReplaceAll(q.Contract, "\n", " ")
	var outcomes []string
	for _, c := range q.Columns {
		outcomes = append(outcomes, c.Values...)
	}
	var found []Paragraph
	add := func(outcome, text string) {
		// a sentence that begins with a capital is no longer about the outcome
		rest := ""
		if at := sentence.FindStringIndex(text); outcome != "" && at != nil {
			text, rest = text[:at[0]+1], text[at[0]+2:]
		}
		if outcome != "" || text != "" {
			found = append(found, Paragraph{outcome, text})
		}
		if rest != "" {
			found = append(found, Paragraph{"", rest})
		}
	}
	outcome := ""
	if len(outcomes) > 0 {
		named := regexp.MustCompile(`(?:^|[.;] )(` + strings.Join(outcomes, "|") + `)[:.;]`)
		for at := named.FindStringSubmatchIndex(text); at != nil; at = named.FindStringSubmatchIndex(text) {
			add(outcome, strings.TrimSuffix(strings.TrimSuffix(text[:at[2]], " "), ";"))
			outcome = text[at[2]:at[3]]
			text = strings.TrimLeft(text[at[3]+1:], " ")
		}
	}
	add(outcome, text)
	return found
}

// list takes a contract apart that has a list, an outcome a line.
func (q *Query) list() []Paragraph {
	var found []Paragraph
	for line := range strings.SplitSeq(q.Contract, "\n") {
		last := len(found) - 1
		switch m := item.FindStringSubmatch(line); {
		case m != nil:
			found = append(found, Paragraph{m[1], m[2] + m[3]})
		case last < 0 || (found[last].Outcome != "" && !strings.HasPrefix(line, " ")):
			found = append(found, Paragraph{"", strings.TrimSpace(line)})
		default:
			found[last].Text = strings.TrimSpace(found[last].Text + " " + strings.TrimSpace(line))
		}
	}
	return found
}

var item = regexp.MustCompile(`(?m)^ *- (\w+)(?:: (.*)| (\(.*))?$`)

var sentence = regexp.MustCompile(`\. [A-Z]`)

// Value is a parameter, or a column of the result.
type Value struct {
	Name     string
	Type     string   // SQL
	Nullable bool     `json:",omitempty"`
	Go       string   // type
	Values   []string `json:",omitempty"` // of an enum
	Field    string   `json:",omitempty"` // of the Go struct that carries it; empty where it stands alone
}

// Access is a table that is read or written.
type Access struct {
	Table   string
	How     string   // select, insert, update, delete
	Columns []string `json:",omitempty"` // that an update sets
	Within  string   `json:",omitempty"` // the CTE
	Through string   `json:",omitempty"` // the function or the foreign key by which it comes to that, if it is not the statement
}

// Strength is how strongly a row is locked.
type Strength int

// The four row locks of PostgreSQL, weakest first.
const (
	KeyShare Strength = iota + 1
	Share
	NoKeyUpdate
	Update
)

// String is the clause that takes the lock.
func (s Strength) String() string {
	return [...]string{"", "FOR KEY SHARE", "FOR SHARE", "FOR NO KEY UPDATE", "FOR UPDATE"}[s]
}

// Lock is rows that are locked until the transaction ends.
type Lock struct {
	Table    string
	Strength Strength
	By       string   // "FOR KEY SHARE OF u", "UPDATE", "foreign key session_user_id_fkey"
	Wait     string   `json:",omitempty"` // "SKIP LOCKED" or "NOWAIT", if it doesn't wait
	Keys     []string `json:",omitempty"` // columns whose change makes it FOR UPDATE
	Within   string   `json:",omitempty"` // the CTE
	Through  string   `json:",omitempty"` // the function or the foreign key
}

// Strongest is the strongest lock that the query takes, 0 for none.
func (q *Query) Strongest() Strength {
	var s Strength
	for _, l := range q.Locks {
		s = max(s, l.Strength)
		if len(l.Keys) > 0 {
			s = Update
		}
	}
	return s
}

// Fire is what PostgreSQL checks or does beside a write.
type Fire struct {
	On      string // "insert into session"
	Kind    string // unique, foreign key, check, trigger, exclusion
	Name    string
	Does    string `json:",omitempty"`
	Through string `json:",omitempty"`
}

// Index is an index that the plan reads.
type Index struct {
	Name    string
	Table   string
	Through string `json:",omitempty"`
}

// Exception is a rule that the plan need not keep, for a reason.
type Exception struct{ Rule, Reason string }

// Inner is the plan of a function that the query calls.
type Inner struct{ Function, Plan string }
