package main

import (
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// Options are what is measured, and how long.
type Options struct {
	Sizes    []int64 // access tokens
	Conns    []int
	Works    []subject.Work
	Subjects []string
	Delays   []time.Duration // of the network; 0 is without a relay

	Rounds       int
	TargetRounds int           // of introspection and rotation at the main number of connections, which aims are set for
	Duration     time.Duration // of a round of store; others do as many operations, but for slower designs, which take as long

	CostOps         int64 // operations that costs are counted over; 0 counts none
	CollectorRounds int   // 0 leaves the collector out
	Quiet           time.Duration
	Rate            float64 // introspections per second beside the collector
	Collectors      []int
	Batches         []int32 // sizes of the collectors' batches

	Label string // in the names of databases that are made for the run
	Hasty bool   // for tests: commits do not wait for the disk there, nor is it vacuumed within a work
}

const (
	pgbench = "pgbench" // the subject that is no subject.Subject

	warm          = 6  // operations of each connection before the clock starts
	leastOps      = 20 // of each connection thereafter
	mainConns     = 16 // where all subjects are compared
	fewRounds     = 3  // of what is measured for the record
	largerThan    = 1_000_000
	tidiedOftenTo = 100_000 // access tokens: up to that, what a few rounds leave behind is as much as the data
)

// subjects are what is compared, in the order of the legend, but for pgbench, which comes after the first two.
func subjects() []subject.Subject {
	return []subject.Subject{
		subject.NewStore(), subject.NewPgx(), subject.NewTransaction(false), subject.NewTransaction(true), subject.NewGORM(),
		subject.NewGoOAuth2(),
	}
}

// subjectNames is all of them.
var subjectNames = []string{"store", "pgx", pgbench, "tx", "tx-lock", "gorm", "go-oauth2"}

// ways are those of the subjects that do the same SQL as store.
var ways = []string{"store", "pgx", pgbench}

// compared are the works that are measured in every way.
var compared = []subject.Work{subject.IntrospectHit, subject.Redeem, subject.Rotate}

// aimed are the works whose throughput is aimed at.
var aimed = []subject.Work{subject.IntrospectHit, subject.Rotate}

func find(name string) subject.Subject {
	all := subjects()
	if i := slices.IndexFunc(all, func(s subject.Subject) bool { return s.Name() == name }); i >= 0 {
		return all[i]
	}
	return nil
}

// cell is one subject doing one work under one condition.
type cell struct {
	work    subject.Work
	subject string
	size    int64
	conns   int
	delay   time.Duration
}

// group is measured together: in each round its cells come right after one another.
type group struct {
	cells  []cell
	rounds int
}

// stage is all there is to do of one work.
type stage struct {
	work   subject.Work
	groups []group
	costs  []cell // their conns and delays mean nothing
}

// middle is the size at which everything is compared, like that of the report.
func (o Options) middle() int64 {
	sizes := slices.Sorted(slices.Values(o.Sizes))
	if slices.Contains(sizes, 1_000_000) {
		return 1_000_000
	}
	return sizes[len(sizes)/2]
}

// most is the number of connections at which everything is compared.
func (o Options) most() int {
	if slices.Contains(o.Conns, mainConns) {
		return mainConns
	}
	return slices.Max(o.Conns)
}

// subjectsOf are those that a work is measured with under a condition, in order.
func (o Options) subjectsOf(w subject.Work, size int64, conns int, delay time.Duration) []string {
	every := slices.Contains(compared, w)
	wanted := func(name string) bool {
		switch {
		case delay > 0:
			return every && size == o.middle() && (conns == 1 || conns == o.most())
		case size > largerThan && size != o.middle(): // each round there takes long to prepare
			return every && slices.Contains(ways, name) || name == "store" && conns == 1
		case name == "store":
			return true
		case slices.Contains(ways, name):
			return every || conns == 1 || conns == o.most() || size == o.middle()
		default:
			return size == o.middle() && (conns == o.most() || conns == 1 && every)
		}
	}
	var names []string
	for _, name := range subjectNames {
		s := find(name)
		if slices.Contains(o.Subjects, name) && wanted(name) && (s == nil || s.Supports(w)) {
			names = append(names, name)
		}
	}
	return names
}

// plan is what is to be measured, in order. What one connection does is measured with all sizes in each round, as the sizes are
// compared by that.
func (o Options) plan() []stage {
	var stages []stage
	for _, w := range o.Works {
		st := stage{work: w}
		for _, delay := range o.Delays {
			for _, conns := range o.Conns {
				var sizes []group
				for _, size := range o.Sizes {
					g := group{rounds: o.Rounds}
					if (conns != 1 && (size != o.middle() || conns != o.most())) || delay > 0 && (w != subject.Rotate || conns == 1) {
						g.rounds = min(g.rounds, fewRounds)
					}
					if slices.Contains(aimed, w) && size == o.middle() && conns == o.most() && delay == 0 {
						g.rounds = max(g.rounds, o.TargetRounds)
					}
					for _, name := range o.subjectsOf(w, size, conns, delay) {
						g.cells = append(g.cells, cell{w, name, size, conns, delay})
					}
					if len(g.cells) > 0 {
						sizes = append(sizes, g)
					}
				}
				if conns == 1 && len(sizes) > 1 {
					together := group{}
					for _, g := range sizes {
						together.cells = append(together.cells, g.cells...)
						together.rounds = max(together.rounds, g.rounds)
					}
					sizes = []group{together}
				}
				st.groups = append(st.groups, sizes...)
			}
		}
		if o.CostOps > 0 {
			for _, size := range slices.Compact([]int64{slices.Min(o.Sizes), o.middle()}) {
				for _, name := range subjectNames {
					if s := find(name); s != nil && slices.Contains(o.Subjects, name) && s.Supports(w) {
						st.costs = append(st.costs, cell{work: w, subject: name, size: size, conns: 1})
					}
				}
			}
		}
		stages = append(stages, st)
	}
	return stages
}

// turn is all in the order of a round: each comes first in one of as many rounds as there are, so that none is always measured in the
// wake of the same.
func turn[T any](all []T, round int) []T {
	first := round % len(all)
	return slices.Concat(all[first:], all[:first])
}

// work is how long all of it takes, as a number to compare with another: a round is 1, give or take.
func work(stages []stage) (n float64) {
	for _, s := range stages {
		for _, g := range s.groups {
			n += g.weight()
		}
		n += float64(len(s.costs)) / 2
	}
	return n
}

func (g group) weight() float64 { return float64(g.rounds*len(g.cells)) + 0.5 }
