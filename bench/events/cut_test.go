package main

import (
	"reflect"
	"testing"
)

func TestNotedIsCutOutWithItsParameters(t *testing.T) {
	t.Parallel()
	got := withoutNoted("WITH x AS (SELECT $2::text)\nSELECT noted(\n    coalesce(x.a, 'b')::outcome, 'Call', of_user => $1, why => f(x, $4)\n)::outcome AS outcome, $3::text FROM x",
		4)
	if want := "WITH x AS (SELECT $1::text)\nSELECT (\n    coalesce(x.a, 'b')::outcome)::outcome AS outcome, $2::text FROM x"; got.sql != want {
		t.Errorf("got %s, want %s", got.sql, want)
	}
	if want := []int{1, 2}; !reflect.DeepEqual(got.kept, want) {
		t.Errorf("got parameters %v, want %v", got.kept, want)
	}
}
