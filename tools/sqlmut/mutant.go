package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mutant is one change of one unit.
type mutant struct {
	id        string // unit/operator/what it was applied to/which of several that are the same
	unit      string
	operator  operator
	isRoutine bool
	original  string // what is swapped out: of a query, the statement that is sent
	text      string // what is swapped in
	removed   string // what the change is about
}

// group is what mutants have in common that the same tests may kill.
func (m *mutant) group() string {
	if m.operator.locks() {
		return m.unit + " locks"
	}
	return m.unit
}

// key tells results of mutants apart. It changes with the unit.
func (m *mutant) key() string {
	sum := sha256.Sum256([]byte(m.original + "\x00" + m.text))
	return hex.EncodeToString(sum[:12])
}

var positional = regexp.MustCompile(`\$[0-9]+`)

// mutantsOf returns the mutants of a unit, with their ids.
func mutantsOf(u unit, locks bool, notNull func(table, column string) bool) ([]*mutant, error) {
	changes, err := changesOf(u, locks, notNull)
	if err != nil {
		return nil, err
	}
	var all []*mutant
	count := map[string]int{}
	for _, c := range changes {
		removed := positional.ReplaceAllStringFunc(c.removed, func(p string) string {
			if n, _ := strconv.Atoi(p[1:]); n >= 1 && n <= len(u.parameters) {
				return "@" + u.parameters[n-1]
			}
			return p
		})
		id := fmt.Sprintf("%s/%s/%s", u.name, c.operator, shortened(removed))
		if count[id]++; count[id] > 1 {
			id += fmt.Sprintf(" #%d", count[id])
		}
		m := &mutant{id: id, unit: u.name, operator: c.operator, isRoutine: u.isRoutine, original: u.sql, text: c.text, removed: removed}
		if u.isRoutine {
			m.text = createOrReplace.ReplaceAllString(m.text, "CREATE OR REPLACE ")
		}
		all = append(all, m)
	}
	return all, nil
}

var word = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9_]{3,}`)

// words are those that the change is about, and those of the unit's name: of refresh_token, as of RefreshToken, refreshtoken, refresh and token.
func (m *mutant) words() []string {
	var found []string
	for _, w := range word.FindAllString(m.unit+" "+m.removed, -1) {
		parts := strings.FieldsFunc(strings.ToLower(camel.ReplaceAllString(w, "${1}_$2")), func(r rune) bool { return r == '_' })
		found = append(found, strings.Join(parts, ""))
		for _, p := range parts {
			if len(p) > 3 {
				found = append(found, p)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

var camel = regexp.MustCompile(`([a-z])([A-Z])`)

var createOrReplace = regexp.MustCompile(`(?i)^CREATE\s+(OR\s+REPLACE\s+)?`)

// shortened cuts a long text, and tells it apart by a digest of what was cut.
func shortened(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:most-20], "") + "… " + hex.EncodeToString(sum[:3])
}

// parametersIn are the numbers of the parameters in tokens.
func parametersIn(tokens []token) []int {
	var found []int
	for _, t := range tokens {
		if len(t.word) < 2 || t.word[0] != '$' {
			continue
		}
		if n, err := strconv.Atoi(t.word[1:]); err == nil && !slices.Contains(found, n) {
			found = append(found, n)
		}
	}
	return found
}
