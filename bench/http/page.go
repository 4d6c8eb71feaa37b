package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/report"
)

// median is that of the measurements of a cell by a figure.
func median[T float64 | time.Duration](all []measured, of func(measured) T) T {
	var values []T
	for _, m := range all {
		values = append(values, of(m))
	}
	return report.Median(values)
}

func (r *results) rate(k cell) float64 {
	return median(r.cells[k], func(m measured) float64 { return m.PerSecond() })
}

// between says how often something was seen, if it was not always the same.
func between(races []race, of func(race) int) string {
	var seen []int
	for _, r := range races {
		seen = append(seen, of(r))
	}
	if least, most := slices.Min(seen), slices.Max(seen); least != most {
		return fmt.Sprintf("%d–%d", least, most)
	}
	return fmt.Sprint(seen[0])
}

// markdown is the tables.
func (r *results) markdown() string {
	var b strings.Builder
	e := r.environment
	fmt.Fprintf(&b, "PostgreSQL %s, %s, %d CPUs for the clients, the servers and the database. Load average before the run: %s.\n\n", e.PostgreSQL, e.Go, e.CPUs, e.Load)
	fmt.Fprintf(&b, "Medians of measurements of %s each (of a code exchange: of %d codes, with fewer workers of fewer); there were %d.\n", r.duration, r.codes, r.rounds)
	for _, c := range contestants {
		if slices.Contains(r.servers, c.name) {
			fmt.Fprintf(&b, "\n- **%s**: %s", c.name, c.describe)
		}
	}
	b.WriteString("\n")
	most := slices.Max(r.workers)
	for _, work := range r.works {
		raced := len(r.races[cell{server: r.servers[0], work: work}]) > 0
		head := []string{"server"}
		for _, workers := range r.workers {
			head = append(head, report.Plural(workers, "worker")+": a second", "p50", "p99")
		}
		head = append(head, "statements", "server CPU", "database CPU")
		if raced {
			head = append(head, "eight at once: answered with tokens", "access tokens live afterwards", "refresh tokens live afterwards")
		}
		t := report.NewTable(1, head...)
		for _, server := range r.servers {
			row := []string{server}
			took := func(all []measured, of func(measured) time.Duration) { row = append(row, report.Took(median(all, of))) }
			for _, workers := range r.workers {
				k := cell{server, work, workers}
				row = append(row, fmt.Sprintf("%.0f", r.rate(k)))
				took(r.cells[k], func(m measured) time.Duration { return m.P50 })
				took(r.cells[k], func(m measured) time.Duration { return m.P99 })
			}
			all := r.cells[cell{server, work, most}]
			row = append(row, fmt.Sprintf("%.1f", median(all, func(m measured) float64 { return m.Statements })))
			took(all, func(m measured) time.Duration { return m.serverCPU })
			took(all, func(m measured) time.Duration { return m.DatabaseCPU })
			if races := r.races[cell{server: server, work: work}]; raced {
				row = append(row, between(races, func(r race) int { return r.answered }), between(races, func(r race) int { return r.live }),
					between(races, func(r race) int { return r.successor }))
			}
			t.Row(row...)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s", work, t)
	}
	for _, other := range []string{"hydra", "go-oauth2"} {
		if !slices.Contains(r.servers, other) || r.servers[0] == other {
			continue
		}
		t := report.NewTable(1, append([]string{"server"}, r.works...)...)
		for _, server := range r.servers {
			if server == "hydra" || server == "go-oauth2" {
				continue
			}
			row := []string{server}
			for _, work := range r.works {
				row = append(row, fmt.Sprintf("%.1f", r.rate(cell{server, work, most})/r.rate(cell{other, work, most})))
			}
			t.Row(row...)
		}
		fmt.Fprintf(&b, "\n### Times the rate of %s, %s\n\n%s", other, report.Plural(most, "worker"), t)
	}
	return b.String()
}
