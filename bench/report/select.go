package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// Conditions under which subjects are compared, if they were measured.
const (
	store      = "store" // the subject that the others are compared with
	comparedAt = 16      // connections
	million    = 1_000_000
)

// find returns the cell, or nil if it wasn't measured.
func (r *Results) find(w subject.Work, name string, size int64, conns int, delay time.Duration) *Cell {
	k := key{w, name, size, conns, delay}
	for i := range r.Cells {
		if c := &r.Cells[i]; c.key() == k && len(c.Rounds) > 0 {
			return c
		}
	}
	return nil
}

// cost returns what the operation takes, or nil if it wasn't measured.
func (r *Results) cost(w subject.Work, name string, size int64) *Cost {
	for i := range r.Costs {
		if c := &r.Costs[i]; c.Work == w && c.Subject == name && c.Size == size {
			return c
		}
	}
	return nil
}

// distinct are the values of a field of the cells that ok accepts, in ascending order.
func distinct[T cmp.Ordered](r *Results, field func(*Cell) T, ok func(*Cell) bool) []T {
	var all []T
	for i := range r.Cells {
		if c := &r.Cells[i]; len(c.Rounds) > 0 && ok(c) {
			all = append(all, field(c))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func size(c *Cell) int64          { return c.Size }
func conns(c *Cell) int           { return c.Conns }
func delay(c *Cell) time.Duration { return c.Delay }

// works are those of the cells that ok accepts, in the order in which they are reported.
func (r *Results) works(ok func(*Cell) bool) []subject.Work {
	all := distinct(r, func(c *Cell) subject.Work { return c.Work }, ok)
	slices.SortStableFunc(all, func(x, y subject.Work) int { return cmp.Compare(rank(x), rank(y)) })
	return all
}

// subjects are those of the cells that ok accepts, in the order in which they are listed.
func (r *Results) subjects(ok func(*Cell) bool) []string {
	all := distinct(r, func(c *Cell) string { return c.Subject }, ok)
	slices.SortStableFunc(all, func(x, y string) int { return cmp.Compare(r.subjectRank(x), r.subjectRank(y)) })
	return all
}

// middle is the size at which subjects are compared: a million, or else the middle one of those that were measured.
func (r *Results) middle() int64 {
	sizes := distinct(r, size, func(*Cell) bool { return true })
	switch {
	case len(sizes) == 0:
		return 0
	case slices.Contains(sizes, million):
		return million
	default:
		return sizes[len(sizes)/2]
	}
}

// delayedConns are the numbers of connections at which w was measured with a delay, in ascending order.
func (r *Results) delayedConns(w subject.Work) []int {
	return distinct(r, conns, func(c *Cell) bool { return c.Work == w && c.Delay > 0 && c.Size == r.middle() })
}
