package report

import (
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// made are results of every kind, made up: speed says how fast the subjects are, as a multiple of store.
func made() *Results {
	speed := []struct {
		name     string
		multiple float64
		trips    float64
		race     string
	}{
		{"store", 1, 1, ""},
		{"pgx", 1.01, 1, ""},
		{"tx", 0.35, 7, "two requests get a successor each"},
		{"tx-lock", 0.33, 7, "a retry ends the grant"},
		{"gorm", 0.22, 7, "two requests get a successor each"},
		{"go-oauth2", 0.4, 4, "one code is redeemed several times"},
		{"pgbench", 1.2, 1, ""},
	}
	r := &Results{
		Taken:   time.Date(2025, 3, 9, 23, 30, 0, 0, time.FixedZone("", -3600)),
		Command: "make bench",
		Environment: Environment{
			PostgreSQL: "17.5", Go: "go1.26.0", CPU: "Model 5", CPUs: 2, Memory: 8 << 30, Transport: "Unix socket",
			Settings: map[string]string{"shared_buffers": "2GB", "max_wal_size": "8GB", "fsync": "on"},
		},
	}
	for _, s := range speed {
		races := map[subject.Work]string{}
		if s.race != "" {
			races[subject.Rotate], races[subject.Redeem] = s.race, s.race
		}
		r.Subjects = append(r.Subjects, Subject{Name: s.name, Describe: "the way of " + s.name, Races: races})
	}
	cell := func(w subject.Work, name string, size int64, conns int, delay time.Duration, perSecond float64, p50 time.Duration) {
		c := Cell{Work: w, Subject: name, Size: size, Conns: conns, Delay: delay}
		for i, wobble := range []float64{1, 0.98, 1.03, 1.01, 0.97} {
			c.Rounds = append(c.Rounds, Round{
				Number: i + 1, Ops: int64(perSecond * wobble * 5), Elapsed: 5 * time.Second,
				P50: time.Duration(float64(p50) / wobble), P99: 3 * p50, P999: 8 * p50,
				Allocs: 21, Bytes: 1800,
			})
		}
		if name == "pgbench" {
			for i := range c.Rounds {
				c.Rounds[i].Allocs, c.Rounds[i].Bytes = 0, 0
			}
		}
		r.Cells = append(r.Cells, c)
	}
	base := map[subject.Work]float64{
		subject.IntrospectHit: 24000, subject.IntrospectMiss: 27000, subject.IntrospectExpired: 26000, subject.Redeem: 3900, subject.Rotate: 4400,
		subject.Retry: 5200, subject.Revoke: 6100, subject.Consent: 7000, subject.Client: 25000, subject.EndSession: 2600,
	}
	for _, w := range subject.Works {
		for _, s := range speed {
			if w == subject.Retry && s.name != "store" && s.name != "pgx" {
				continue
			}
			cell(w, s.name, million, 16, 0, base[w]*s.multiple, time.Duration(16e9/base[w]/s.multiple))
			if w == subject.Rotate || w == subject.IntrospectHit {
				for _, d := range []time.Duration{500 * time.Microsecond, 2 * time.Millisecond} {
					p50 := 16e9/base[w]/s.multiple/2 + s.trips*float64(d)
					cell(w, s.name, million, 16, d, 16e9/p50, time.Duration(p50))
				}
			}
			if w == subject.Rotate { // one connection, too
				for _, d := range []time.Duration{0, 500 * time.Microsecond, 2 * time.Millisecond} {
					if p50 := 1.9e9/base[w]/s.multiple + s.trips*float64(d); s.name != store || d > 0 {
						cell(w, s.name, million, 1, d, 1e9/p50, time.Duration(p50))
					}
				}
			}
			r.Costs = append(r.Costs, Cost{
				Work: w, Subject: s.name, Size: million, Statements: s.trips, RoundTrips: s.trips, WALBytes: 1234.5, FullPages: 0.25, Buffers: 31.75,
			})
		}
		for i, n := range []int64{10_000, million, 10_000_000} {
			p50 := time.Duration(1e9 / base[w] * 1.9 * (1 + 0.07*float64(i)))
			cell(w, "store", n, 1, 0, 1e9/float64(p50), p50)
		}
		cell(w, "store", million, 64, 0, base[w]*0.97, time.Duration(64e9/base[w]))
	}
	for _, n := range []int64{10_000, million, 10_000_000} {
		r.Datasets = append(r.Datasets, Dataset{AccessTokens: n, Tables: []Table{
			{Name: "access_tokens", Rows: n, HeapBytes: 180 * n, IndexBytes: 95 * n},
			{Name: "authorizations", Rows: n / 10, HeapBytes: 14 * n, IndexBytes: 11 * n},
		}})
	}
	for i, n := range []int{1, 2, 4} {
		r.Collector = append(r.Collector, Collector{
			Size: million, Collectors: n, BatchSize: 1000, Rows: 500_000, Elapsed: time.Duration(16-4*i) * time.Second, Rate: 2000,
			Quiet: Latency{100 * time.Microsecond, 300 * time.Microsecond, 900 * time.Microsecond},
			Busy:  Latency{110 * time.Microsecond, time.Duration(300+90*i) * time.Microsecond, 2 * time.Millisecond},
		})
	}
	return r
}
