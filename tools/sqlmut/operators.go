package main

import (
	"fmt"
	"slices"
	"strings"
)

// operator is a kind of change, as ids, reports and the list of equivalents name it.
type operator string

// The operators, in the order of reports.
const (
	dropConjunct   operator = "drop-conjunct"    // a AND b: a; of a condition that stands alone: true
	dropDisjunct   operator = "drop-disjunct"    // a OR b: a
	negate         operator = "negate"           // a: NOT (a)
	nullTest       operator = "null-test"        // a IS NULL: a IS NOT NULL
	equalOrNull    operator = "equal-or-null"    // a = b: a IS NOT DISTINCT FROM b
	boundary       operator = "boundary"         // a < b: a <= b
	dropWhen       operator = "drop-when"        // an arm of a CASE; the only one: WHEN false
	swapWhens      operator = "swap-whens"       // two arms of a CASE that stand side by side
	weakenLock     operator = "weaken-lock"      // FOR UPDATE: FOR NO KEY UPDATE
	dropLock       operator = "drop-lock"        // no FOR UPDATE
	dropSkipLocked operator = "drop-skip-locked" // waits
	dropOrder      operator = "drop-order"       // no ORDER BY, in a statement that locks
	dropLimit      operator = "drop-limit"       // no LIMIT
	dropArgument   operator = "drop-argument"    // coalesce(a, b): coalesce(a)
	swapExtreme    operator = "swap-extreme"     // least(a, b): greatest(a, b)
	dropWrite      operator = "drop-write"       // a CTE that writes: WHERE false
	dropSet        operator = "drop-set"         // UPDATE … SET a = 1, b = 2: SET a = 1
)

var operators = []operator{
	dropConjunct, dropDisjunct, negate, nullTest, equalOrNull, boundary, dropWhen, swapWhens, weakenLock, dropLock, dropSkipLocked,
	dropOrder, dropLimit, dropArgument, swapExtreme, dropWrite, dropSet,
}

// locks reports whether the operator changes what is locked, or in which order.
func (op operator) locks() bool {
	return op == weakenLock || op == dropLock || op == dropSkipLocked
}

// change is a mutant of a text, before it has a name.
type change struct {
	operator operator
	at       int    // where it begins
	removed  string // what the operator was applied to, on one line
	text     string // the whole text after the change
}

// counts say how often a text has what operators look for, to compare with the parser's tree.
type counts struct {
	and, or, not, nullTests, comparisons, whens, arguments, locks, limits, writes, sets int
}

// mutator finds the changes of one text.
type mutator struct {
	*text
	locks   bool // the text locks or writes rows, so that orders matter
	notNull func(table, column string) bool
	levels  []int // where the levels begin that are being gone through
	changes []change
	counts  counts
}

// mutants returns all changes of the tokens of a text, those of one operator in the order in which they stand. locks says whether it
// runs something that locks or writes rows; its own clauses are found here.
// notNull says which columns are never NULL.
func mutants(sql string, tokens []token, locks bool, notNull func(table, column string) bool) ([]change, counts, error) {
	t, err := newText(sql, tokens)
	if err != nil {
		return nil, counts{}, err
	}
	m := &mutator{text: t, locks: locks || locksRows(tokens), notNull: notNull}
	m.level(0, len(tokens), value)
	seen := map[string]bool{sql: true}
	unique := m.changes[:0]
	for _, c := range m.changes {
		if !seen[c.text] {
			seen[c.text] = true
			unique = append(unique, c)
		}
	}
	slices.SortStableFunc(unique, func(a, b change) int { return a.at - b.at })
	return unique, m.counts, nil
}

// locksRows reports whether one of the tokens begins a write or a locking clause.
func locksRows(tokens []token) bool {
	for i, t := range tokens {
		switch t.word {
		case "insert", "update", "delete":
			return true
		case "for":
			if i+1 < len(tokens) && slices.Contains([]string{"update", "no", "share", "key"}, tokens[i+1].word) {
				return true
			}
		}
	}
	return false
}

// edit replaces the text from token i to before token j.
type edit struct {
	from, to int // bytes
	with     string
}

// to is an edit that replaces the text of the tokens i to j-1.
func (m *mutator) to(i, j int, with string) edit {
	return edit{m.tokens[i].start, m.tokens[j-1].end, with}
}

// original is the text of the tokens i to j-1 as it stands.
func (m *mutator) original(i, j int) string {
	return m.sql[m.tokens[i].start:m.tokens[j-1].end]
}

func (m *mutator) add(op operator, removed string, edits ...edit) {
	slices.SortFunc(edits, func(a, b edit) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(m.sql[at:e.from])
		b.WriteString(e.with)
		at = e.to
	}
	b.WriteString(m.sql[at:])
	m.changes = append(m.changes, change{operator: op, at: edits[0].from, removed: removed, text: b.String()})
}

// kind is what a part of a statement is.
type kind int

const (
	value     kind = iota // an expression of any type, or no expression
	statement             // as value, at the beginning of a statement of PL/pgSQL
	operand               // of AND or OR in a value: NULL is not the same as false
	condition             // of a WHEN, IF or WHILE, or a part of a condition
	filter                // all of a WHERE, ON or HAVING
	setting               // an assignment, or an option with a value
)

// level goes through the tokens i to j-1, which are all of a text or all between two parentheses, and cuts them where a clause begins.
func (m *mutator) level(i, j int, k kind) {
	m.levels = append(m.levels, i)
	defer func() { m.levels = m.levels[:len(m.levels)-1] }()
	s := i // where the part begins
	in := statementParts{first: i}
	for at := i; at < j; at = m.next(at) {
		w := m.word(at)
		next := m.boundary(w, at, i, j, &in)
		if next < 0 {
			continue
		}
		m.part(s, at, k)
		m.clause(w, at, i, j, in)
		s, k = at+1, next
	}
	m.part(s, j, k)
}

// statementParts is what is known of the statement on a level.
type statementParts struct {
	first    int  // its first token
	update   int  // UPDATE, if there is one
	isUpdate bool // an UPDATE, or an INSERT with DO UPDATE
	inSet    bool
	isRaise  bool
	selects  bool // there was a SELECT
}

// boundary says what begins after the token w, or -1 if it is a part of an expression.
func (m *mutator) boundary(w string, at, i, j int, in *statementParts) kind {
	prev, next := "", ""
	if at > i {
		prev = m.word(at - 1)
	}
	if at+1 < j {
		next = m.word(at + 1)
	}
	switch w {
	case ",":
		if in.inSet || in.isRaise {
			return setting
		}
		return value
	case "where", "having":
		in.inSet = false
		return filter
	case "on":
		if next == "conflict" || prev == "distinct" {
			return value
		}
		return filter
	case "when", "elsif", "elseif", "while":
		return condition
	case "if":
		if prev == "end" {
			return value
		}
		return condition
	case "set":
		if in.isUpdate {
			in.inSet = true
			return setting
		}
		return value
	case "update":
		if prev != "for" && prev != "key" {
			in.isUpdate, in.update = true, at
		}
		return value
	case "raise":
		in.isRaise = true
		return value
	case "using":
		if in.isRaise {
			return setting
		}
		return value
	case "from":
		if prev == "distinct" && (m.word(at-2) == "is" || m.word(at-2) == "not") {
			return -1
		}
		in.inSet = false
		return value
	case "distinct":
		if prev == "is" || prev == "not" {
			return -1
		}
		return value
	case "left", "right", "full", "values":
		if next == "(" && w != "values" {
			return -1
		}
		return value
	case ";", "then", "else", "loop", "begin", "declare":
		*in = statementParts{first: at + 1}
		return statement
	case "select":
		in.selects = true
		return value
	case "not":
		if next == "materialized" {
			return value
		}
		return -1
	case "as", "materialized", "join", "inner", "cross", "natural", "outer", "lateral", "group", "order", "by", "limit", "offset", "fetch",
		"for", "returning", "union", "intersect", "except", "with", "insert", "into", "delete", "conflict", "do", "end", "return",
		"perform", "exception", "window", ":=":
		if w == "returning" || w == "with" {
			in.inSet = false
		}
		return value
	}
	return -1
}

// part handles one expression, or what stands between two clauses and has none.
func (m *mutator) part(i, j int, k kind) {
	if i >= j {
		return
	}
	if k == statement && m.word(i) == "get" {
		return // GET DIAGNOSTICS
	}
	skip := -1 // an = that assigns
	if k == setting || k == statement {
		for at := i; at < j; at = m.next(at) {
			if m.word(at) == "=" {
				skip = at
				break
			}
			if k == statement && at > i && m.word(at) != "." && m.word(at-1) != "." && m.word(at) != "[" {
				break
			}
		}
	}
	m.logic(i, j, k, skip)
}

// logic cuts an expression at OR, AND and NOT.
func (m *mutator) logic(i, j int, k kind, skip int) {
	start := i
	if skip >= 0 {
		start = skip + 1
	}
	within := operand
	if k == condition || k == filter {
		within = condition
	}
	if ors := m.split(start, j, "or"); len(ors) > 1 {
		m.counts.or += len(ors) - 1
		m.chain(dropDisjunct, ors)
		for _, o := range ors {
			m.logic(o[0], o[1], within, -1)
		}
		m.alone(i, j, k)
		return
	}
	if ands := m.split(start, j, "and"); len(ands) > 1 {
		m.counts.and += len(ands) - 1
		m.chain(dropConjunct, ands)
		for _, a := range ands {
			m.logic(a[0], a[1], within, -1)
		}
		return
	}
	m.alone(i, j, k)
	switch {
	case start < j && m.word(start) == "not":
		m.counts.not++
		m.add(negate, m.source(start, j), edit{m.tokens[start].start, m.tokens[start+1].start, ""})
		m.logic(start+1, j, value, -1)
	case start < j && k != value && k != statement && k != setting && m.word(start) == "(" && m.match[start] == j-1 && !isQuery(m.word(start+1)):
		m.level(start+1, j-1, within)
	default:
		if (within == condition || k == operand) && !m.isNullTest(i, j) {
			m.add(negate, m.source(i, j), m.to(i, j, "NOT ("+m.original(i, j)+")"))
		}
		m.leaf(i, j, skip, within == condition)
	}
}

// isNullTest reports whether an expression ends in IS NULL or IS NOT NULL: to negate it is an operator of its own.
func (m *mutator) isNullTest(i, j int) bool {
	if j-i < 3 || m.word(j-1) != "null" {
		return false
	}
	return m.word(j-2) == "is" || m.word(j-2) == "not" && m.word(j-3) == "is"
}

// alone drops a condition that is all of a WHERE, ON or HAVING.
func (m *mutator) alone(i, j int, k kind) {
	if k == filter && m.source(i, j) != "true" {
		m.add(dropConjunct, m.source(i, j), m.to(i, j, "true"))
	}
}

func isQuery(word string) bool {
	return slices.Contains([]string{"select", "values", "with", "insert", "update", "delete", "table"}, word)
}

// split cuts the tokens i to j-1 at a word, that of a BETWEEN left out.
func (m *mutator) split(i, j int, word string) [][2]int {
	var parts [][2]int
	start, between := i, 0
	for at := i; at < j; at = m.next(at) {
		switch w := m.word(at); {
		case w == "between":
			between++
		case w == word && word == "and" && between > 0:
			between--
		case w == word:
			parts = append(parts, [2]int{start, at})
			start = at + 1
		}
	}
	return append(parts, [2]int{start, j})
}

// chain drops each of some operands, with the AND or OR before it.
func (m *mutator) chain(op operator, operands [][2]int) {
	for n, o := range operands {
		removed := m.source(o[0], o[1])
		if n == 0 {
			m.add(op, removed, edit{m.tokens[o[0]].start, m.tokens[operands[1][0]].start, ""})
			continue
		}
		m.add(op, removed, edit{m.tokens[o[0]-1].start, m.tokens[o[1]-1].end, ""})
	}
}

// leaf handles an expression without AND, OR and NOT, and goes into what it holds in parentheses.
// Where NULL counts as false, = and IS NOT DISTINCT FROM are the same beside what is never NULL.
func (m *mutator) leaf(i, j, skip int, nullIsFalse bool) {
	for at := i; at < j; at = m.next(at) {
		switch w := m.word(at); w {
		case "=":
			if at == skip {
				continue
			}
			if next := m.word(at + 1); next == "any" || next == "all" || next == "some" {
				continue
			}
			m.counts.comparisons++
			if nullIsFalse && (m.isNotNull(at+1, j, i) || m.isNotNull(i, at, i)) {
				continue
			}
			m.add(equalOrNull, m.source(i, j), m.to(at, at+1, "IS NOT DISTINCT FROM"))
		case "<", "<=", ">", ">=":
			if next := m.word(at + 1); next != "any" && next != "all" && next != "some" {
				m.counts.comparisons++
			}
			other := w + "="
			if len(w) == 2 {
				other = w[:1]
			}
			m.add(boundary, m.source(i, j), m.to(at, at+1, other))
		case "is":
			switch {
			case m.word(at+1) == "null":
				m.counts.nullTests++
				m.add(nullTest, m.source(i, j), m.to(at, at+2, "IS NOT NULL"))
			case m.word(at+1) == "not" && m.word(at+2) == "null":
				m.counts.nullTests++
				m.add(nullTest, m.source(i, j), m.to(at, at+3, "IS NULL"))
			}
		case "case":
			m.caseArms(at)
		case "(":
			m.function(at)
			m.written(at)
			m.level(at+1, m.match[at], value)
		case "[":
			m.level(at+1, m.match[at], value)
		}
	}
}

// isNotNull reports whether the expression of the tokens i to j-1 is never NULL where it stands, in a condition that begins at a token: it is
// a constant, or a column that is NOT NULL, of a table that no outer join completes.
func (m *mutator) isNotNull(i, j, condition int) bool {
	if j-i == 1 || j-i == 3 && m.word(i+1) == "::" {
		w := m.word(i)
		return w == "true" || w == "false" || strings.HasPrefix(w, "'") || strings.HasPrefix(w, "E'") || w >= "0" && w < ":"
	}
	if j-i != 3 || m.word(i+1) != "." {
		return false
	}
	for n := len(m.levels) - 1; n >= 0; n-- {
		if table, ok := m.tableOf(m.word(i), m.levels[n], condition); ok {
			return m.notNull(table, unquoted(m.word(i+2)))
		}
	}
	return false
}

// tableOf finds the table that an alias means in a condition: the last one before it, on the level that begins at a token. It is empty if an
// outer join may have completed its rows, and so is that of anything but a table.
func (m *mutator) tableOf(alias string, level, condition int) (table string, ok bool) {
	var joins, ons int // since the alias
	for at := level; at < condition; at = m.next(at) {
		switch m.word(at) {
		case ";":
			ok = false
		case "right", "full":
			table = ""
		case "join":
			joins++
		case "on":
			ons++
		case "where":
			ons += 2
		}
		if m.word(at) != alias || m.word(at+1) == "." || at < level+2 {
			continue
		}
		name := at - 1
		if m.word(name) == "as" {
			name--
		}
		switch before := m.word(name - 1); {
		case before == "join" && (m.word(name-2) == "left" || m.word(name-2) == "outer"):
			table, ok, joins, ons = "?"+m.word(name), true, 0, 0
		case before == "join" || before == "from" || before == "update" || before == "into" || before == ",":
			table, ok, joins, ons = m.word(name), true, 0, 0
		}
	}
	if left, isLeft := strings.CutPrefix(table, "?"); isLeft {
		// In its own ON, the row is there.
		if joins > 0 || ons != 1 {
			return "", ok
		}
		table = left
	}
	return unquoted(table), ok
}

// function handles what stands before a parenthesis, if it is one of three names.
func (m *mutator) function(open int) {
	name := m.word(open - 1)
	if name != "coalesce" && name != "least" && name != "greatest" {
		return
	}
	args := m.split(open+1, m.match[open], ",")
	m.counts.arguments += len(args)
	if len(args) < 2 {
		return
	}
	whole := m.source(open-1, m.match[open]+1)
	for n, a := range args {
		removed := fmt.Sprintf("%s of %s", m.source(a[0], a[1]), whole)
		if n == 0 {
			m.add(dropArgument, removed, edit{m.tokens[a[0]].start, m.tokens[args[1][0]].start, ""})
			continue
		}
		m.add(dropArgument, removed, edit{m.tokens[a[0]-1].start, m.tokens[a[1]-1].end, ""})
	}
	switch name {
	case "least":
		m.add(swapExtreme, whole, m.to(open-1, open, "greatest"))
	case "greatest":
		m.add(swapExtreme, whole, m.to(open-1, open, "least"))
	}
}

// caseArms handles a CASE, from its first token.
func (m *mutator) caseArms(open int) {
	end := m.match[open]
	type arm struct{ when, then, end int }
	var arms []arm
	otherwise := -1
	for at := open + 1; at < end; at = m.next(at) {
		switch m.word(at) {
		case "when", "else":
			if n := len(arms); n > 0 && arms[n-1].end == 0 {
				arms[n-1].end = at
			}
			if m.word(at) == "else" {
				otherwise = at
			} else {
				arms = append(arms, arm{when: at})
			}
		case "then":
			if n := len(arms); n > 0 && arms[n-1].then == 0 {
				arms[n-1].then = at
			}
		}
	}
	if len(arms) == 0 {
		return
	}
	if last := &arms[len(arms)-1]; last.end == 0 {
		last.end = end
	}
	m.counts.whens += len(arms)
	isSimple := arms[0].when > open+1
	k := condition
	if isSimple {
		k = value
		m.part(open+1, arms[0].when, value)
	}
	for n, a := range arms {
		condition := m.source(a.when+1, a.then)
		switch {
		case len(arms) > 1:
			m.add(dropWhen, condition, edit{m.tokens[a.when].start, m.tokens[a.end].start, ""})
		case isSimple:
			m.add(dropWhen, condition, m.to(a.when+1, a.then, "NULL"))
		default:
			m.add(dropWhen, condition, m.to(a.when+1, a.then, "false"))
		}
		if n > 0 && !isSimple {
			b := arms[n-1]
			// Two arms with one result are the same in either order.
			if m.source(b.then, b.end) != m.source(a.then, a.end) {
				m.add(swapWhens, m.source(b.when+1, b.then)+" / "+condition,
					m.to(b.when, b.end, m.original(a.when, a.end)), m.to(a.when, a.end, m.original(b.when, b.end)))
			}
		}
		m.part(a.when+1, a.then, k)
		m.level(a.then+1, a.end, value)
	}
	if otherwise >= 0 {
		m.level(otherwise+1, end, value)
	}
}

// clause handles a clause that begins with the word w at a token.
func (m *mutator) clause(w string, at, i, j int, in statementParts) {
	switch w {
	case "for":
		m.lock(at, j)
	case "limit":
		m.counts.limits++
		e := m.clauseEnd(at+1, j)
		m.add(dropLimit, m.source(at, e), m.to(at, e, ""))
	case "order":
		if m.word(at+1) != "by" || !in.selects || !m.locks {
			return
		}
		e := m.clauseEnd(at+2, j)
		m.add(dropOrder, m.source(at, e), m.to(at, e, ""))
	case "set":
		if in.isUpdate {
			m.set(at, j, in)
		}
	}
}

// clauseEnd is the token after an ORDER BY or LIMIT.
func (m *mutator) clauseEnd(at, j int) int {
	for ; at < j; at = m.next(at) {
		switch m.word(at) {
		case "limit", "offset", "fetch", "for", "union", "intersect", "except", "returning", "on", "loop", ";", ")":
			return at
		}
	}
	return j
}

// weaker are the locks of rows, each with the next weaker one.
var weaker = map[string]string{"update": "NO KEY UPDATE", "no key update": "SHARE", "share": "KEY SHARE"}

func (m *mutator) lock(at, j int) {
	e := at + 1
	for e < j && slices.Contains([]string{"no", "key", "update", "share"}, m.word(e)) {
		e++
	}
	strength := m.source(at+1, e)
	next, ok := weaker[strings.ToLower(strength)]
	if !ok && !strings.EqualFold(strength, "key share") {
		return // the FOR of a loop
	}
	m.counts.locks++
	afterStrength := e
	for e < j {
		switch w := m.word(e); {
		case w == "of", w == ",":
			e += 2
			for m.word(e) == "." {
				e += 2
			}
			continue
		case w == "skip":
			m.add(dropSkipLocked, m.source(at, e+2), m.to(e, e+2, ""))
			e += 2
			continue
		case w == "nowait":
			e++
			continue
		}
		break
	}
	if ok {
		m.add(weakenLock, m.source(at, e), m.to(at+1, afterStrength, next))
	}
	m.add(dropLock, m.source(at, e), m.to(at, e, ""))
}

// set drops the assignments of an UPDATE one by one.
func (m *mutator) set(at, j int, in statementParts) {
	e := at + 1
	for ; e < j; e = m.next(e) {
		if w := m.word(e); w == "from" && m.word(e-1) != "distinct" || w == "where" || w == "returning" || w == ";" {
			break
		}
	}
	items := m.split(at+1, e, ",")
	m.counts.sets += len(items)
	for n, a := range items {
		removed := m.source(a[0], a[1])
		switch {
		case len(items) == 1:
			// The column keeps its value.
			if alias := m.updated(in.update, at); alias != "" && m.word(a[0]+1) == "=" {
				m.add(dropSet, removed, m.to(a[0]+2, a[1], alias+"."+m.source(a[0], a[0]+1)))
			}
		case n == 0:
			m.add(dropSet, removed, edit{m.tokens[a[0]].start, m.tokens[items[1][0]].start, ""})
		default:
			m.add(dropSet, removed, edit{m.tokens[a[0]-1].start, m.tokens[a[1]-1].end, ""})
		}
	}
}

// updated is the name by which an UPDATE calls its table; empty for a DO UPDATE.
func (m *mutator) updated(update, set int) string {
	if update+1 >= set {
		return ""
	}
	return m.source(set-1, set)
}

// written drops a CTE that writes, from the parenthesis before its statement: it finds nothing to write.
func (m *mutator) written(open int) {
	first, end := open+1, m.match[open]
	verb := m.word(first)
	if verb != "insert" && verb != "update" && verb != "delete" {
		return
	}
	m.counts.writes++
	removed := m.source(open-2, open) // "name AS", "AS MATERIALIZED"
	for k := open - 1; k > 0; k-- {
		if m.word(k) == "as" {
			removed = m.source(k-1, k)
			break
		}
	}
	removed += ": " + verb
	where, after := -1, -1
	begin := first
	if verb == "insert" {
		for begin < end && m.word(begin) != "select" {
			begin = m.next(begin)
		}
		if begin == end {
			return // of VALUES
		}
	}
	for at := begin; at < end; at = m.next(at) {
		w := m.word(at)
		if w == "where" && where < 0 && after < 0 {
			where = at
			continue
		}
		isEnd := w == "group" || w == "having" || w == "order" || w == "limit" || w == "offset" || w == "for" || w == "returning" ||
			w == "union" || (w == "on" && m.word(at+1) == "conflict")
		if isEnd && after < 0 {
			after = at
		}
	}
	if after < 0 {
		after = end
	}
	if where >= 0 {
		m.add(dropWrite, removed, m.to(where+1, after, "false"))
		return
	}
	last := m.tokens[after-1].end
	m.add(dropWrite, removed, edit{last, last, " WHERE false"})
}
