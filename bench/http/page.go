package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// median is that of the measurements by a figure.
func median[T int64 | float64 | time.Duration](all []figures, of func(figures) T) T {
	var values []T
	for _, f := range all {
		values = append(values, of(f))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (r *results) rate(k cell) float64 {
	return median(r.cells[k], func(f figures) float64 { return f.rate })
}

// took is a duration in three digits.
func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Round(time.Microsecond).Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	default:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
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

func plural(workers int) string {
	if workers == 1 {
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", workers)
}

// markdown is the tables.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.environment)
	fmt.Fprintf(&b, "Medians of measurements of %s each (of a code exchange: of %d codes, with fewer workers of fewer); there were %d.\n", r.duration, r.codes, r.rounds)
	for _, c := range contestants {
		if slices.Contains(r.servers, c.name) {
			fmt.Fprintf(&b, "\n- **%s**: %s", c.name, c.describe)
		}
	}
	b.WriteString("\n")
	for _, work := range r.works {
		raced := len(r.races[cell{server: r.servers[0], work: work}]) > 0
		fmt.Fprintf(&b, "\n### %s\n\n| server |", work)
		for _, workers := range r.workers {
			fmt.Fprintf(&b, " %s: a second | p50 | p99 |", plural(workers))
		}
		b.WriteString(" statements | server CPU | database CPU |")
		if raced {
			b.WriteString(" eight at once: answered with tokens | access tokens live afterwards | refresh tokens live afterwards |")
		}
		b.WriteString("\n|---|" + strings.Repeat("---:|", 3*len(r.workers)+3))
		if raced {
			b.WriteString("---:|---:|---:|")
		}
		b.WriteString("\n")
		for _, server := range r.servers {
			fmt.Fprintf(&b, "| %s |", server)
			for _, workers := range r.workers {
				all := r.cells[cell{server, work, workers}]
				fmt.Fprintf(&b, " %.0f | %s | %s |", r.rate(cell{server, work, workers}),
					took(median(all, func(f figures) time.Duration { return f.p50 })), took(median(all, func(f figures) time.Duration { return f.p99 })))
			}
			all := r.cells[cell{server, work, slices.Max(r.workers)}]
			fmt.Fprintf(&b, " %.1f | %s | %s |", r.statements[cell{server: server, work: work}],
				took(median(all, func(f figures) time.Duration { return f.serverCPU })), took(median(all, func(f figures) time.Duration { return f.backendCPU })))
			if races := r.races[cell{server: server, work: work}]; raced {
				fmt.Fprintf(&b, " %s | %s | %s |", between(races, func(r race) int { return r.answered }), between(races, func(r race) int { return r.live }),
					between(races, func(r race) int { return r.successor }))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString(r.ratios())
	return b.String()
}

// ratios are the rates beside those of the others.
func (r *results) ratios() string {
	workers := slices.Max(r.workers)
	var b strings.Builder
	for _, other := range []string{"hydra", "go-oauth2"} {
		if !slices.Contains(r.servers, other) || r.servers[0] == other {
			continue
		}
		fmt.Fprintf(&b, "\n### Times the rate of %s, %s\n\n| server |", other, plural(workers))
		for _, work := range r.works {
			fmt.Fprintf(&b, " %s |", work)
		}
		b.WriteString("\n|---|" + strings.Repeat("---:|", len(r.works)) + "\n")
		for _, server := range r.servers {
			if server == "hydra" || server == "go-oauth2" {
				continue
			}
			fmt.Fprintf(&b, "| %s |", server)
			for _, work := range r.works {
				fmt.Fprintf(&b, " %.1f |", r.rate(cell{server, work, workers})/r.rate(cell{other, work, workers}))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
