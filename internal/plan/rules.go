package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Rule names a rule that plans have to keep.
type Rule string

const (
	// NoSeqScan: a table that grows is not read from end to end.
	NoSeqScan Rule = "seq scan"
	// IndexCondition: an index of a table that grows is entered by a condition. It may be walked from its beginning
	// only where a LIMIT ends the walk, and nothing between the two needs all rows before it gives the first. (The bitmap
	// of a whole partial index may be cut with that of a condition; NoGrowth sees whether that costs too much.)
	IndexCondition Rule = "index condition"
	// NoGrowth: what is read, sorted, hashed or materialized does not become more as a table grows.
	NoGrowth Rule = "growth"
	// Buffers: a query reads as many pages of a large database as of a small one, but for the height of its indexes.
	Buffers Rule = "buffers"
)

// Fault is a rule that a plan breaks.
type Fault struct {
	Rule Rule
	Node string // which node breaks it: "Seq Scan on session s"
	Why  string
}

func (f Fault) String() string { return fmt.Sprintf("%s: %s: %s", f.Rule, f.Node, f.Why) }

// Sized is a statement's plan on a database of some size.
type Sized struct {
	Plan  *Node            // nil if it was not seen
	Sizes map[string]int64 // rows of each table
}

// few rows are sorted or hashed in no time, and few pages read, however many they were before. (A page costs about one.)
const few = 50

// Judge holds a plan against NoSeqScan, IndexCondition and NoGrowth: that on the larger of two databases which have been
// filled alike. A table grows if it has more rows in the larger one.
//
// A scan grows if the planner expects more than a few rows of it, and many more than in the smaller database: so many more that
// the factor is nearer to that by which the tables grew than to one. What a node takes in is bounded if nothing in it grows: a
// LIMIT bounds, a nested loop is bounded if both its sides are, all else if all that it takes in is.
//
// A scan whose cost grows, in a part of the statement whose result does not, reads what is thrown away.
func Judge(small, large Sized) []Fault {
	j := judge{
		small: map[string]leaf{}, large: map[*Node]leaf{}, grown: map[string]bool{}, ratio: 1,
		cte: map[string]*Node{}, busy: map[*Node]bool{},
	}
	if small.Plan != nil {
		for _, l := range leaves(small.Plan) {
			j.small[l.key] = l
		}
	}
	for _, l := range leaves(large.Plan) {
		j.large[l.scan] = l
	}
	for table, n := range large.Sizes {
		if before := small.Sizes[table]; n > before {
			j.grown[table] = true
			j.ratio = max(j.ratio, float64(n)/float64(max(before, 1)))
		}
	}
	for n := range large.Plan.All() {
		if name, ok := strings.CutPrefix(n.Subplan, "CTE "); ok {
			j.cte[name] = n
		}
	}
	j.walk(large.Plan, "", false)
	return j.faults
}

type judge struct {
	small  map[string]leaf // in the smaller database
	large  map[*Node]leaf
	grown  map[string]bool // tables
	ratio  float64         // by which the tables grew
	cte    map[string]*Node
	busy   map[*Node]bool // CTEs whose bounds are being looked for: a recursive one refers to itself
	faults []Fault
}

func (j *judge) fault(r Rule, n *Node, format string, args ...any) {
	j.faults = append(j.faults, Fault{Rule: r, Node: n.what(), Why: fmt.Sprintf(format, args...)})
}

// walk judges n and what is below it. table is the one that bitmaps below n are of; streamed says that n need not come to its end:
// a LIMIT above ends it after a few rows, or it is a bitmap that is cut with another.
func (j *judge) walk(n *Node, table string, streamed bool) {
	if n.Relation != "" {
		table = n.Relation
	}
	switch n.Type {
	case "Seq Scan", "Sample Scan":
		if j.grown[n.Relation] {
			j.fault(NoSeqScan, n, "the table grows, and is read from end to end")
		}
	case "Index Scan", "Index Only Scan", "Bitmap Index Scan":
		if n.IndexCond == "" && j.grown[table] && !streamed {
			j.fault(IndexCondition, n, "the index is walked from end to end: there is no condition on it, and no LIMIT that ends the walk")
		}
	case "Sort", "Incremental Sort", "Hash", "Materialize", "SetOp", "WindowAgg":
		j.bound(n)
	case "Aggregate":
		if n.Strategy == "Hashed" || n.Strategy == "Mixed" {
			j.bound(n)
		}
	}
	if leaf, ok := j.large[n]; ok && n.Type != "Seq Scan" && !streamed && j.grows(n, cost) {
		if s, ok := j.small[leaf.key]; ok && leaf.part.Rows < s.part.Rows*j.factor() {
			j.fault(NoGrowth, n, "what it reads grows with the table, and most of it is thrown away")
		}
	}
	for _, p := range n.Plans {
		j.walk(p, table, j.streams(n, p, streamed))
	}
}

func rows(n *Node) float64 { return n.Rows }
func cost(n *Node) float64 { return n.Cost }

// grows compares a scan with its counterpart in the smaller database.
func (j *judge) grows(n *Node, measure func(*Node) float64) bool {
	if !j.grown[n.Relation] || measure(n) < few {
		return false
	}
	s, ok := j.small[j.large[n].key]
	return !ok || measure(n) >= measure(s.scan)*j.factor()
}

// factor is that from which on something counts as grown.
func (j *judge) factor() float64 { return math.Sqrt(j.ratio) }

// bound faults n if what it takes in grows.
func (j *judge) bound(n *Node) {
	for _, p := range n.inputs() {
		if leaf := j.growing(p); leaf != nil {
			j.fault(NoGrowth, n, "its input grows with the table: %s", leaf.what())
		}
	}
}

// streams says whether a LIMIT above p, which is below n, ends it early.
func (j *judge) streams(n, p *Node, streamed bool) bool {
	if p.Relationship == "InitPlan" || p.Relationship == "SubPlan" {
		return false
	}
	switch n.Type {
	case "Limit":
		return true
	case "BitmapAnd":
		return slices.ContainsFunc(n.Plans, func(p *Node) bool { return p.IndexCond != "" })
	case "LockRows", "Result", "Subquery Scan", "Append", "Merge Append", "Unique", "ProjectSet":
		return streamed
	case "Nested Loop":
		return streamed && p.Relationship == "Outer"
	}
	return false
}

// growing returns the scan by which the rows of n grow, nil if they are bounded.
func (j *judge) growing(n *Node) *Node {
	switch n.Type {
	case "Limit":
		return nil
	case "Aggregate":
		if n.Strategy == "Plain" {
			return nil
		}
	case "CTE Scan":
		c := j.cte[n.CTE]
		if c == nil || j.busy[c] {
			return nil
		}
		j.busy[c] = true
		defer delete(j.busy, c)
		return j.growing(c)
	case "Nested Loop":
		if n.JoinType == "Semi" || n.JoinType == "Anti" {
			return j.growing(n.Plans[0])
		}
	}
	if _, leaf := j.large[n]; leaf {
		if j.grows(n, rows) {
			return n
		}
		return nil
	}
	for _, p := range n.inputs() {
		if leaf := j.growing(p); leaf != nil {
			return leaf
		}
	}
	return nil
}

// leaf is a scan of a table.
type leaf struct {
	scan *Node
	part *Node  // the root of the CTE, the subquery or the statement that it stands in, or what such a one writes
	key  string // by which it is found again in the plan of the same statement on another database
}

func leaves(root *Node) []leaf {
	var found []leaf
	var visit func(n, part *Node, within string)
	visit = func(n, part *Node, within string) {
		if n.Subplan != "" {
			part, within = n, n.Subplan
		}
		if n.Relation != "" && n.Type != "ModifyTable" {
			found = append(found, leaf{scan: n, part: part, key: within + "/" + n.Alias})
		}
		for _, p := range n.Plans {
			if n.Type == "ModifyTable" {
				visit(p, p, within)
			} else {
				visit(p, part, within)
			}
		}
	}
	visit(root, root, "")
	return found
}
