package plan

import "testing"

func TestNormalise(t *testing.T) {
	t.Parallel()
	const text = "InitPlan 3 (returns $6,$7)\n  ->  Result\n        One-Time Filter: (($6 >= 0) AND ($7 > $1) AND ($61 IS NULL))"
	for statement, want := range map[string]string{
		"SELECT $1": "InitPlan 3\n  ->  Result\n        One-Time Filter: (((InitPlan 3).col1 >= 0) AND ((InitPlan 3).col2 > $1) AND ($61 IS NULL))",
		"SELECT $7": text,
	} {
		if got := normalise(text, statement); got != want {
			t.Errorf("%s: got\n%s", statement, got)
		}
	}
}
