package main

import (
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
)

// Options are what is measured, and how long.
type Options struct {
	Sizes    []int64 // access tokens
	Conns    []int
	Works    []subject.Work
	Subjects []string
	Delays   []time.Duration // of the network; 0 is without a proxy
	Settings bool            // of package db, too

	Rounds       int
	TargetRounds int           // of introspection and rotation at the main number of connections, which aims are set for
	Duration     time.Duration // of a round of store; others do as many operations, but for slower designs, which take as long

	OnlyCollector   bool
	CollectorRounds int // 0 leaves the collector out
	Quiet           time.Duration
	Rate            float64 // introspections per second beside the collector
	Collectors      []int
	Paces           []report.Pace

	Callgrind string // folder with the callgrind.out.PID of the server's processes: count instructions, and nothing else

	Label string // in the names of databases that are made for the run
	Hasty bool   // for tests: commits do not wait for the disk there, nor is it vacuumed within a work
}

const (
	warm          = 6       // operations of each connection before the clock starts
	leastOps      = 20      // of each connection thereafter
	mainConns     = 16      // where all subjects are compared
	fewRounds     = 3       // of what is measured for the record
	tidiedOftenTo = 100_000 // access tokens: up to that, what a few rounds leave behind is as much as the data
)

// subjects are what is compared, in the order of the legend.
var subjects = []subject.Subject{subject.Store, subject.Rowless, subject.Events, subject.Transaction}

// modes and pools are settings of package db that are compared: how pgx asks, with a connection for each worker, and how many connections many
// workers share. Its defaults are cache_statement, and twice as many connections as there are processors.
var modes, pools = variants()

func variants() (modes, pools []subject.Subject) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		modes = append(modes, subject.By(subject.Way{Params: "&default_query_exec_mode=" + mode}, "mode "+mode, "`"+mode+"`"))
	}
	for _, n := range []int{2, 4, 8, 16, 64} {
		pools = append(pools, subject.By(subject.Way{Conns: n}, "pool of "+plural(n, "connection"), plural(n, "connection")))
	}
	return modes, pools
}

// sharing is how many workers share a pool.
const sharing = 64

func names(all []subject.Subject) (names []string) {
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names
}

// compared are the works that have aims.
var compared = []subject.Work{subject.IntrospectHit, subject.Rotate}

func find(name string) subject.Subject {
	all := slices.Concat(subjects, modes, pools)
	return all[slices.IndexFunc(all, func(s subject.Subject) bool { return s.Name == name })]
}

// cell is one subject doing one work under one condition.
type cell = report.Condition

// group is measured together: in each round its cells come right after one another.
type group struct {
	cells  []cell
	rounds int
}

// stage is all there is to do of one work.
type stage struct {
	work   subject.Work
	groups []group
}

// middle is the size at which everything is compared, like that of the report.
func (o Options) middle() int64 { return report.Middle(o.Sizes) }

// most is the number of connections at which everything is compared.
func (o Options) most() int {
	if slices.Contains(o.Conns, mainConns) {
		return mainConns
	}
	return slices.Max(o.Conns)
}

// plan is what is to be measured, in order: all subjects with one connection and with most, without a network and with one; store with
// each number of connections, and with one at each size, in one group, as the sizes are compared.
func (o Options) plan() []stage {
	var stages []stage
	at := o.middle()
	for _, w := range o.Works {
		st := stage{work: w}
		aimed := slices.Contains(compared, w)
		var able []string
		for _, s := range subjects {
			if slices.Contains(o.Subjects, s.Name) && s.Supports(w) {
				able = append(able, s.Name)
			}
		}
		add := func(names []string, conns int, delay time.Duration, rounds int, others ...cell) {
			var cells []cell
			for _, name := range names {
				cells = append(cells, cell{Work: w, Subject: name, Size: at, Conns: conns, Delay: delay})
			}
			if cells = append(cells, others...); len(cells) > 0 {
				st.groups = append(st.groups, group{cells, rounds})
			}
		}
		storeAlone := slices.DeleteFunc(slices.Clone(able), func(name string) bool { return name != subject.Store.Name })
		for _, conns := range o.Conns {
			switch {
			case conns == 1:
				var others []cell
				for _, size := range o.Sizes {
					if size != at && len(storeAlone) > 0 {
						others = append(others, cell{Work: w, Subject: subject.Store.Name, Size: size, Conns: conns})
					}
				}
				add(able, conns, 0, o.Rounds, others...)
			case conns != o.most():
				add(storeAlone, conns, 0, min(o.Rounds, fewRounds))
			case aimed:
				add(able, conns, 0, max(o.Rounds, o.TargetRounds))
			default:
				add(able, conns, 0, o.Rounds)
			}
			for _, delay := range o.Delays {
				if delay > 0 && aimed && (conns == 1 || conns == o.most()) {
					without := slices.DeleteFunc(slices.Clone(able), func(name string) bool { return name == subject.Events.Name })
					add(without, conns, delay, min(o.Rounds, fewRounds))
				}
			}
		}
		if o.Settings && aimed {
			add(names(modes), o.most(), 0, min(o.Rounds, fewRounds))
			add(names(pools), sharing, 0, min(o.Rounds, fewRounds))
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
