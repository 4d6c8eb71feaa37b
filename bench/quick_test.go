package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// The benchmarks below are the short form of the driver's, for benchstat: ten thousand access tokens, and the subjects that a change of
// this repository can move. make bench-quick runs them.

const quickSize = 10_000

var quick *driver

// quickly makes a driver that is ready to measure. TestMain closes it.
var quickly = sync.OnceValue(func() error {
	server, err := dataset.StartServer(context.Background(), report.Logf)
	if err != nil {
		return err
	}
	quick = &driver{Options: Options{Sizes: []int64{quickSize}}, server: server, logf: report.Logf, results: &report.Results{}}
	return quick.prepare(context.Background())
})

// TestMain puts the data in order after the last benchmark.
func TestMain(m *testing.M) {
	code := m.Run()
	if quick != nil {
		if err := quick.close(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// benchmark measures a work. A subject does b.N operations or a few more, the same number on each connection, after some that don't
// count. So -benchtime has to be a number, like 2000x: as many codes and sessions as a work uses up are made before. Works that use up
// nothing are fast, and are done ten times as often.
func benchmark(b *testing.B, w subject.Work, subjects []string, conns ...int) {
	for _, name := range subjects {
		b.Run("subject="+name, func(b *testing.B) {
			for _, n := range conns {
				b.Run(fmt.Sprintf("conns=%d", n), func(b *testing.B) {
					if err := quickly(); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					b.ReportAllocs()
					ops := int64((b.N + n - 1) / n)
					if !workload.Plants(w) {
						ops *= 10
					}
					r, err := quick.round(b.Context(), cell{Work: w, Subject: name, Size: quickSize, Conns: n}, ops, time.Minute)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(r.Elapsed.Nanoseconds())/float64(r.Ops), "ns/op")
					b.ReportMetric(float64(r.P99.Nanoseconds()), "p99-ns/op")
					if r.DatabaseCPU > 0 {
						b.ReportMetric(float64(r.DatabaseCPU.Nanoseconds()), "database-ns/op")
					}
					b.ReportMetric(r.Allocs, "allocs/op")
					b.ReportMetric(r.Bytes, "B/op")
					if err := quick.tidy(b.Context(), w, quick.data[quickSize], true); err != nil {
						b.Fatal(err)
					}
				})
			}
		})
	}
}

var alone, withPeer = []string{"store"}, []string{"store", "tx-lock"}

func BenchmarkIntrospectHit(b *testing.B) { benchmark(b, subject.IntrospectHit, withPeer, 1, 16) }
func BenchmarkRedeem(b *testing.B)        { benchmark(b, subject.Redeem, alone, 1, 16) }
func BenchmarkRotate(b *testing.B)        { benchmark(b, subject.Rotate, withPeer, 1, 16) }

func BenchmarkIntrospectMiss(b *testing.B) { benchmark(b, subject.IntrospectMiss, alone, 16) }
func BenchmarkRetry(b *testing.B)          { benchmark(b, subject.Retry, alone, 16) }
func BenchmarkRevoke(b *testing.B)         { benchmark(b, subject.Revoke, alone, 16) }
func BenchmarkConsent(b *testing.B)        { benchmark(b, subject.Consent, alone, 16) }
func BenchmarkClient(b *testing.B)         { benchmark(b, subject.Client, alone, 16) }
func BenchmarkEndSession(b *testing.B)     { benchmark(b, subject.EndSession, alone, 16) }
