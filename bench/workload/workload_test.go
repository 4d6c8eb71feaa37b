package workload_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// prepared is a copy of the data, and a connection to it.
func prepared(t *testing.T, name string) (*dataset.Server, dataset.Data, *pgx.Conn) {
	t.Helper()
	server, err := dataset.StartServer(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	data, err := server.Prepare(t.Context(), 1200, t.Logf)
	if err == nil {
		data, err = server.Clone(t.Context(), data, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	look, err := server.Connect(t.Context(), data.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		look.Close(context.WithoutCancel(t.Context()))
		if err := server.Drop(context.WithoutCancel(t.Context()), data.Database); err != nil {
			t.Error(err)
		}
	})
	return server, data, look
}

// Each work can be done on what is planted for it, and an operation that was counted and not done shows.
func TestVerifyMissesAnOperationThatWasNotDone(t *testing.T) {
	server, data, look := prepared(t, "bench_workload")
	for run, w := range subject.Works {
		for i, s := range []subject.Subject{subject.Store, subject.Rowless, subject.Events} {
			if !s.Supports(w) {
				continue
			}
			session, err := s.Open(t.Context(), server.URL(data.Database)+"&synchronous_commit=off", 1)
			if err != nil {
				t.Fatal(err)
			}
			const done = 3
			l := workload.Load{Work: w, Data: data, Conns: 1, Run: int64(3*run + i + 1), Ops: done + 2}
			if workload.Plants(w) {
				count, state := l.Planted()
				if err := server.Plant(t.Context(), data, l.Run, count, state); err != nil {
					t.Fatal(err)
				}
			}
			for n, c := range l.Cases(0)[:done] {
				if err := session.Do(t.Context(), w, &c); err != nil {
					t.Errorf("%s of %s, operation %d: %v", w, s.Name, n, err)
				}
			}
			session.Close()
			if err := l.Verify(t.Context(), look, done); err != nil {
				t.Errorf("%s of %s: %v", w, s.Name, err)
			}
			if err := l.Verify(t.Context(), look, done+1); (err == nil) == workload.Plants(w) {
				t.Errorf("%s of %s: %d operations were done, and %d are taken: %v", w, s.Name, done, done+1, err)
			}
		}
	}
}
