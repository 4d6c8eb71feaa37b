package plan

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Node is a node of a plan, as EXPLAIN (FORMAT JSON) writes it: the fields that somebody here reads.
type Node struct {
	Type         string   `json:"Node Type"`
	Relationship string   `json:"Parent Relationship"` // Outer, Inner, InitPlan, SubPlan, Member, Subquery
	Subplan      string   `json:"Subplan Name"`        // "CTE presented", say, at the root of such
	Strategy     string   // of an Aggregate: Plain, Sorted, Hashed, Mixed
	Operation    string   // of a ModifyTable: Insert, Update, Delete
	JoinType     string   `json:"Join Type"`
	Relation     string   `json:"Relation Name"`
	Alias        string   `json:"Alias"`
	CTE          string   `json:"CTE Name"`
	Function     string   `json:"Function Name"`
	Index        string   `json:"Index Name"`
	IndexCond    string   `json:"Index Cond"`
	Arbiters     []string `json:"Conflict Arbiter Indexes"`
	Rows         float64  `json:"Plan Rows"`  // estimated, of one loop
	Cost         float64  `json:"Total Cost"` // likewise

	// What was measured, where the statement ran (EXPLAIN ANALYZE).
	ActualRows  float64 `json:"Actual Rows"` // of one loop
	ActualLoops float64 `json:"Actual Loops"`
	Removed     float64 `json:"Rows Removed by Filter"` // likewise
	Hit         int64   `json:"Shared Hit Blocks"`      // with the nodes below
	Read        int64   `json:"Shared Read Blocks"`

	Plans []*Node
}

// All yields the node and everything below it, each before what is below it, in the order of the plan.
func (n *Node) All() iter.Seq[*Node] {
	return func(yield func(*Node) bool) { n.each(yield) }
}

func (n *Node) each(yield func(*Node) bool) bool {
	if !yield(n) {
		return false
	}
	for _, p := range n.Plans {
		if !p.each(yield) {
			return false
		}
	}
	return true
}

// Indexes names the indexes that the plan reads, those that decide a conflict (ON CONFLICT) included, each once, sorted.
func (n *Node) Indexes() []string {
	var names []string
	for m := range n.All() {
		if m.Index != "" {
			names = append(names, m.Index)
		}
		names = append(names, m.Arbiters...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// inputs are the nodes whose rows the node takes in: not the plans of the CTEs and subqueries that stand beside them.
func (n *Node) inputs() []*Node {
	var in []*Node
	for _, p := range n.Plans {
		if p.Relationship != "InitPlan" && p.Relationship != "SubPlan" {
			in = append(in, p)
		}
	}
	return in
}

// what names the node for a reader: "Index Scan using session_pkey on session s".
func (n *Node) what() string {
	var b strings.Builder
	b.WriteString(n.Type)
	if n.Strategy != "" && n.Strategy != "Plain" {
		b.WriteString(" (" + strings.ToLower(n.Strategy) + ")")
	}
	if n.Index != "" {
		b.WriteString(" using " + n.Index)
	}
	if on := cmp.Or(n.Relation, n.CTE, n.Function); on != "" {
		b.WriteString(" on " + on)
		if n.Alias != "" && n.Alias != on {
			b.WriteString(" " + n.Alias)
		}
	}
	return b.String()
}
