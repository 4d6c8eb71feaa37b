package main

import (
	"slices"
	"strings"
	"testing"
)

func TestEachWorkAndServerCanBeChosen(t *testing.T) {
	t.Parallel()
	for _, all := range [][]string{works, names()} {
		for _, one := range all {
			if picked, err := pick(all, one); err != nil || !slices.Equal(picked, []string{one}) {
				t.Errorf("%s: %q, %v", one, picked, err)
			}
		}
		if picked, err := pick(all, strings.Join(all, ";")); err != nil || !slices.Equal(picked, all) {
			t.Errorf("all: %q, %v", picked, err)
		}
	}
	if _, err := pick(works, "nothing"); err == nil {
		t.Error("nothing is measured")
	}
}
