package subject_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/subject"
)

// conns is how many requests race.
const conns = 8

// world is a database with the benchmark's data, of which a test plants more.
type world struct {
	*testing.T
	subject.Subject
	server  *dataset.Server
	data    dataset.Data
	look    *pgx.Conn
	session subject.Session
	runs    int64
}

// forEachPeer runs a test for each subject, with a database of its own.
func forEachPeer(t *testing.T, test func(w *world)) {
	server, err := dataset.StartServer(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := server.Prepare(t.Context(), 1000, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	for n, s := range []subject.Subject{subject.NewTransaction(), subject.NewGoOAuth2()} {
		t.Run(s.Name(), func(t *testing.T) {
			w := &world{T: t, Subject: s, server: server}
			var err error
			w.data, err = server.Clone(t.Context(), kept, fmt.Sprintf("bench_peers_%d", n))
			w.ok(err)
			w.look, err = server.Connect(t.Context(), w.data.Database)
			w.ok(err)
			w.session, err = s.Open(t.Context(), server.URL(w.data.Database)+"&synchronous_commit=off", conns)
			w.ok(err)
			defer func() {
				w.session.Close()
				w.look.Close(t.Context())
				w.ok(server.Drop(t.Context(), w.data.Database))
			}()
			test(w)
		})
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) count(sql string, args ...any) (n int) {
	w.Helper()
	w.ok(w.look.QueryRow(w.Context(), "SELECT count(*) FROM "+sql, args...).Scan(&n))
	return n
}

// ours reports whether the subject works on the tables of this project.
func (w *world) ours() bool { return w.Name() != "go-oauth2" }

// planted is the first of some new families of a state.
func (w *world) planted(n int64, state dataset.State) int64 {
	w.Helper()
	w.runs++
	w.ok(w.server.Plant(w.Context(), w.data, w.runs, n, state, !w.ours()))
	return dataset.First(w.runs)
}

// of is a case of a family; what it issues is of a generation.
func (w *world) of(f, generation int64) *subject.Case {
	return &subject.Case{
		ClientID: dataset.Client(w.data.ClientOf(f)), SessionID: dataset.Session(f), RedirectURI: dataset.RedirectURI, CodeChallenge: dataset.CodeChallenge,
		AccessToken: dataset.Access(f, generation), AccessTokenID: dataset.AccessID(f, generation),
		RefreshToken: dataset.Refresh(f, generation), RefreshTokenID: dataset.RefreshID(f, generation),
	}
}

func (w *world) introspect(f, generation int64) *subject.Case {
	c := w.of(f, 0)
	c.Presented = dataset.Access(f, generation)
	return c
}

func (w *world) redeem(f, generation int64) *subject.Case {
	c := w.of(f, generation)
	c.Presented = dataset.Code(f)
	return c
}

func (w *world) refresh(f, presented, generation int64) *subject.Case {
	c := w.of(f, generation)
	c.Presented = dataset.Refresh(f, presented)
	return c
}

func (w *world) do(work subject.Work, c *subject.Case) {
	w.Helper()
	w.ok(w.session.Do(w.Context(), work, c))
}

// refuses demands that the outcome is reported as not the one that the work calls for.
func (w *world) refuses(work subject.Work, c *subject.Case) {
	w.Helper()
	if err := w.session.Do(w.Context(), work, c); err == nil || errors.Is(err, subject.ErrUnsupported) {
		w.Errorf("%s: %v, where the subject should have noticed the outcome", work, err)
	}
}

func (w *world) revokedFor(f int64, reason string) {
	w.Helper()
	if w.count("oauth_authorization WHERE id = $1 AND revoked_reason::text = $2", dataset.Authorization(f), reason) != 1 {
		w.Errorf("the family was not revoked, or for another reason than %s", reason)
	}
}

// issued demands that the tokens of a generation are there, live, and like their family, and that there are no others of it but spent.
func (w *world) issued(f, generation int64) {
	w.Helper()
	w.do(subject.IntrospectHit, w.introspect(f, generation))
	if !w.ours() {
		if w.count("oauth2_token AS t WHERE t.access = $1 AND t.refresh = $2 AND t.code = '' AND t.expires_at > now() + interval '29 days'",
			dataset.Access(f, generation), dataset.Refresh(f, generation)) != 1 {
			w.Error("no row with the tokens issued")
		}
		return
	}
	const like = `t.scopes = a.granted_scopes AND t.client_id = a.client_id AND t.user_id = a.user_id AND t.session_id = a.session_id`
	if w.count(`oauth_refresh_token AS t JOIN oauth_authorization AS a ON a.id = t.authorization_id
		WHERE a.id = $1 AND t.token = $2 AND t.revoked IS NULL AND t.auth_time = a.auth_time AND t.expires_at BETWEEN now() + interval '29 days' AND now() + interval '30 days' AND `+like,
		dataset.Authorization(f), dataset.Refresh(f, generation)) != 1 {
		w.Error("the refresh token isn't as it should be")
	}
	if w.count(`oauth_access_token AS t JOIN oauth_authorization AS a ON a.id = t.authorization_id
		WHERE a.id = $1 AND t.token = $2 AND t.refresh_id = $3 AND t.expires_at BETWEEN now() + interval '50 minutes' AND now() + interval '1 hour' AND `+like,
		dataset.Authorization(f), dataset.Access(f, generation), dataset.RefreshID(f, generation)) != 1 {
		w.Error("the access token isn't as it should be")
	}
	if n := w.count("oauth_refresh_token WHERE authorization_id = $1 AND revoked IS NULL", dataset.Authorization(f)); n != 1 {
		w.Errorf("%d refresh tokens that are not spent", n)
	}
}

// TestPeersDoTheWork holds the peers to the outcomes that store has, as far as they know them: none may be fast by doing less.
func TestPeersDoTheWork(t *testing.T) {
	forEachPeer(t, func(w *world) {
		for _, work := range append([]subject.Work{"none"}, subject.Works...) {
			if err := w.session.Do(w.Context(), work, &subject.Case{}); errors.Is(err, subject.ErrUnsupported) == (work != "none" && w.Supports(work)) {
				w.Errorf("%s of nothing, which it supports: %v: %v", work, w.Supports(work), err)
			}
		}

		const live, expired = 0, dataset.ExpiredEvery - 1 // of the data
		w.do(subject.IntrospectHit, w.introspect(live, 3))
		w.do(subject.IntrospectMiss, w.introspect(live, 9))
		w.refuses(subject.IntrospectHit, w.introspect(live, 9))
		w.refuses(subject.IntrospectHit, w.introspect(expired, 3))
		w.refuses(subject.IntrospectMiss, w.introspect(live, 3))
		w.refuses(subject.IntrospectMiss, w.introspect(expired, 3))
		other := w.introspect(live, 3)
		other.ClientID = dataset.Client(7)
		w.refuses(subject.IntrospectHit, other)

		f := w.planted(2, dataset.WithCode)
		for _, spoil := range []func(c *subject.Case){
			func(c *subject.Case) { c.ClientID = dataset.Client(7) },
			func(c *subject.Case) { c.RedirectURI = "https://app.bench.example/other" },
			func(c *subject.Case) { c.Presented = dataset.Refresh(f, 7) },
			func(c *subject.Case) { // go-oauth2 asks for the verifier
				if c.CodeChallenge = "other"; !w.ours() {
					c.ClientID = ""
				}
			},
		} {
			c := w.redeem(f, 1)
			spoil(c)
			w.refuses(subject.Redeem, c)
		}
		w.do(subject.Redeem, w.redeem(f, 1))
		w.issued(f, 1)
		w.refuses(subject.Redeem, w.redeem(f, 2))
		if w.ours() {
			w.revokedFor(f, "code_replayed")
			w.refuses(subject.IntrospectHit, w.introspect(f, 1))
		}
		w.do(subject.Redeem, w.redeem(f+1, 1))

		f = w.planted(2, dataset.WithRefresh)
		w.refuses(subject.Rotate, w.refresh(f, 9, 1))
		w.do(subject.Rotate, w.refresh(f, 0, 1))
		w.issued(f, 1)
		w.refuses(subject.Rotate, w.refresh(f, 0, 2))
		if w.ours() {
			w.revokedFor(f, "refresh_token_reused")
			w.refuses(subject.Rotate, w.refresh(f, 1, 2))
		}
		w.do(subject.Rotate, w.refresh(f+1, 0, 1))
	})
}

// race runs requests at the same moment and returns their errors.
func race(n int, request func(i int64) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = request(int64(i))
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// live counts the access tokens of generations from 1 that are, of requests that succeeded.
func (w *world) live(f int64, errs []error) (won, live int) {
	for i, err := range errs {
		if err == nil {
			won++
			if w.session.Do(w.Context(), subject.IntrospectHit, w.introspect(f, int64(i)+1)) == nil {
				live++
			}
		}
	}
	return won, live
}

// races show, each in a round, what somebody's Race tells of a work.
var races = map[string]struct {
	work subject.Work
	of   []string // the subjects that tell of it
	show func(w *world, round int) bool
}{
	"a code is redeemed several times": {subject.Redeem, []string{"go-oauth2"}, func(w *world, _ int) bool {
		f := w.planted(1, dataset.WithCode)
		won, live := w.live(f, race(conns, func(i int64) error { return w.session.Do(w.Context(), subject.Redeem, w.redeem(f, i+1)) }))
		return won > 1 && live > 1
	}},
	"a token gets several live successors": {subject.Rotate, []string{"go-oauth2"}, func(w *world, _ int) bool {
		f := w.planted(1, dataset.WithRefresh)
		won, live := w.live(f, race(conns, func(i int64) error { return w.session.Do(w.Context(), subject.Rotate, w.refresh(f, 0, i+1)) }))
		return won > 1 && live > 1
	}},
	"a request that is repeated ends the grant": {subject.Rotate, []string{"tx-lock"}, func(w *world, _ int) bool {
		f := w.planted(1, dataset.WithRefresh)
		won, live := w.live(f, race(conns, func(i int64) error { return w.session.Do(w.Context(), subject.Rotate, w.refresh(f, 0, i+1)) }))
		return won == 1 && live == 0
	}},
}

// TestPeersRaceAsTheySay reproduces what each subject says of itself, and that none of the rest is true of it.
func TestPeersRaceAsTheySay(t *testing.T) {
	forEachPeer(t, func(w *world) {
		told := map[subject.Work]bool{}
		for name, r := range races {
			tells := false
			for _, of := range r.of {
				tells = tells || of == w.Name()
			}
			told[r.work] = told[r.work] || tells
			if !w.Supports(r.work) {
				continue
			}
			rounds := 20 // none of which may show it
			if tells {
				rounds = 500 // one of which has to
			}
			shown := -1
			for n := 0; n < rounds && shown < 0; n++ {
				if r.show(w, n) {
					shown = n
				}
			}
			if (shown >= 0) != tells {
				w.Errorf("%s: %s: shown in round %d of %d, told of: %v", r.work, name, shown, rounds, tells)
			}
		}
		for _, work := range subject.Works {
			if claim := w.Race(work); (claim != "") != told[work] {
				w.Errorf("%s: no race shows that %q, or it isn't told of", work, claim)
			}
		}
	})
}
