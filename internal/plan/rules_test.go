package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/oauthdb/oauthdb/internal/plan"
)

// Small plans, and what the rules say of them. Their table grows from 1,000 to 10,000 rows.
func TestJudge(t *testing.T) {
	t.Parallel()
	scan := func(typ, cond string, rows, cost float64) *plan.Node {
		return &plan.Node{Type: typ, Relation: "session", Alias: "s", Index: "i", IndexCond: cond, Rows: rows, Cost: cost, Relationship: "Outer"}
	}
	over := func(typ string, below ...*plan.Node) *plan.Node {
		n := &plan.Node{Type: typ, Rows: below[0].Rows, Relationship: "Outer", Plans: below}
		if typ == "Hashed" {
			n.Type, n.Strategy = "Aggregate", "Hashed"
		}
		return n
	}
	cte := func(n, main *plan.Node) *plan.Node {
		n.Relationship, n.Subplan = "InitPlan", "CTE c"
		return over("Result", main, n)
	}
	inner := func(n *plan.Node) *plan.Node { n.Relationship = "Inner"; return n }
	ofC := func() *plan.Node { return &plan.Node{Type: "CTE Scan", CTE: "c", Relationship: "Outer"} }

	for name, c := range map[string]struct {
		plan func(size float64) *plan.Node
		want []plan.Rule
	}{
		"a key": {
			func(float64) *plan.Node { return over("Sort", scan("Index Scan", "id = $1", 3, 4)) }, nil,
		},
		"a table from end to end": {
			func(n float64) *plan.Node { return scan("Seq Scan", "", n, n) }, []plan.Rule{plan.NoSeqScan},
		},
		"a range": {
			func(n float64) *plan.Node { return scan("Index Scan", "expires_at < $1", n/3, n/3) }, nil,
		},
		"a range, sorted": {
			func(n float64) *plan.Node { return over("Sort", scan("Index Scan", "expires_at < $1", n/3, n/3)) }, []plan.Rule{plan.NoGrowth},
		},
		"a range, hashed": {
			func(n float64) *plan.Node { return over("Hashed", scan("Index Scan", "expires_at < $1", n/3, n/3)) }, []plan.Rule{plan.NoGrowth},
		},
		"a range, cut and sorted": {
			func(n float64) *plan.Node {
				return over("Sort", over("Limit", scan("Index Scan", "expires_at < $1", n/3, n/3)))
			}, nil,
		},
		"a range, cut by a CTE, and hashed": {
			func(n float64) *plan.Node {
				return cte(over("Limit", over("LockRows", scan("Index Scan", "expires_at < $1", n/3, n/3))), over("Hash", ofC()))
			}, nil,
		},
		"a range in a CTE, hashed": {
			func(n float64) *plan.Node {
				return cte(scan("Index Scan", "expires_at < $1", n/3, n/3), over("Hash", ofC()))
			}, []plan.Rule{plan.NoGrowth},
		},
		"an index in its order, cut": {
			func(n float64) *plan.Node { return over("Limit", over("LockRows", scan("Index Scan", "", n, n))) }, nil,
		},
		"an index in its order, not cut": {
			func(n float64) *plan.Node { return scan("Index Scan", "", n, n) }, []plan.Rule{plan.IndexCondition},
		},
		"an index in its order, cut after a sort": {
			func(n float64) *plan.Node { return over("Limit", over("Sort", scan("Index Scan", "", n, n))) },
			[]plan.Rule{plan.NoGrowth, plan.IndexCondition},
		},
		"an index in its order, begun again for each row": {
			func(n float64) *plan.Node {
				return over("Limit", over("Nested Loop", over("Limit", scan("Index Scan", "id = $1", 1, 1)), inner(scan("Index Scan", "", n, n))))
			},
			[]plan.Rule{plan.NoGrowth, plan.IndexCondition},
		},
		"many rows, of which one is kept": {
			func(n float64) *plan.Node { return scan("Index Scan", "client_id = $1", 1, n/10) }, []plan.Rule{plan.NoGrowth},
		},
		"many rows, counted": {
			func(n float64) *plan.Node {
				count := over("Aggregate", scan("Index Only Scan", "client_id = $1", n/10, n/10))
				count.Strategy, count.Rows = "Plain", 1
				return count
			}, []plan.Rule{plan.NoGrowth},
		},
		"many rows, of which a join keeps one": {
			func(n float64) *plan.Node {
				join := over("Nested Loop", over("Limit", scan("Index Scan", "id = $1", 1, 1)), inner(scan("Index Scan", "client_id = $1", n/10, n/10)))
				join.Rows = 1
				join.Plans[1].Alias = "t"
				return join
			}, []plan.Rule{plan.NoGrowth},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := plan.Judge(
				plan.Sized{Plan: c.plan(1000), Sizes: map[string]int64{"session": 1000}},
				plan.Sized{Plan: c.plan(10_000), Sizes: map[string]int64{"session": 10_000}},
			)
			var got []plan.Rule
			for _, f := range faults {
				got = append(got, f.Rule)
			}
			slices.Sort(got)
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v: %v", got, c.want, faults)
			}
			if faults := plan.Judge(
				plan.Sized{Plan: c.plan(1000), Sizes: map[string]int64{"session": 1000}},
				plan.Sized{Plan: c.plan(1000), Sizes: map[string]int64{"session": 1000}},
			); len(faults) > 0 {
				t.Errorf("of a table that does not grow: %v", faults)
			}
		})
	}
}
