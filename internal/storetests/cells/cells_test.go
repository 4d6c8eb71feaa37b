package cells

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/db/cells"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/migrations/roles"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// No test of the package may leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a cluster on which a cell can be.
type place struct {
	testing.TB
	cluster *devdb.Cluster
	psql    string
	app     string         // the URL by which servers connect
	store   *store.Queries // as a server
}

func newPlace(t testing.TB) *place {
	t.Helper()
	if testing.Short() {
		t.Skip("starts clusters of its own")
	}
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("there is no psql, in which docs/cells.md is to be typed")
	}
	p := &place{TB: t, psql: psql, cluster: fixture.NewCluster(t, map[string]string{"wal_level": "logical"})}
	var owner string
	p.row(`SELECT current_user`, &owner)
	o := roles.Options{Owner: owner}
	for _, script := range []func(roles.Options) (string, error){roles.Create, roles.Privileges} {
		text, err := script(o)
		ok(t, err)
		p.run(text)
	}
	p.run(`CREATE ROLE server LOGIN PASSWORD 'server' IN ROLE oauthdb_application`)
	u, err := url.Parse(p.cluster.URL)
	ok(t, err)
	u.User = url.UserPassword("server", "server")
	p.app = u.String()
	pool, err := db.Open(t.Context(), p.app, db.Options{MaxConns: 8})
	ok(t, err)
	t.Cleanup(pool.Close)
	p.store = store.New(pool)
	return p
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run has psql run a script, and returns the rows.
func (p *place) run(script string, variables ...string) string {
	p.Helper()
	args := []string{"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"}
	for _, v := range variables {
		args = append(args, "-v", v)
	}
	cmd := exec.CommandContext(p.Context(), p.psql, append(args, p.cluster.URL)...)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.Fatalf("psql: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// row scans a row of a statement.
func (p *place) row(sql string, dest ...any) {
	p.Helper()
	conn, err := pgx.Connect(p.Context(), p.cluster.URL)
	ok(p, err)
	defer conn.Close(context.WithoutCancel(p.Context()))
	ok(p, conn.QueryRow(p.Context(), sql).Scan(dest...))
}

// until runs a block of the page until it says t.
func (p *place) until(block string, variables ...string) {
	p.Helper()
	script := page(p, block)
	fixture.Within(p, time.Minute, block, func() bool { return p.run(script, variables...) == "t" })
}

// page returns a block of docs/cells.md.
func page(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/cells.md")
	ok(t, err)
	m := regexp.MustCompile("(?s)<!-- run: " + name + " -->\n```sql\n(.*?)\n```").FindSubmatch(text)
	if m == nil {
		t.Fatalf("docs/cells.md has no block %q", name)
	}
	return string(m[1])
}

// grant is one that a server was told of, and whether it has ended.
type grant struct {
	id      store.AuthorizationID
	access  token.Raw
	refresh token.Raw
	ended   bool
}

// worker grants, refreshes, ends and introspects, one call after the other, so it knows what is so.
type worker struct {
	cells  *cells.Cells
	cell   string
	client store.ClientID
	user   store.UserID
	keys   *token.Successors
	rng    *rand.Rand
	grants []*grant
	calls  *atomic.Int64
	wrong  error // what the first call that went wrong has failed with
}

// do makes a call, wherever the cell is.
func (w *worker) do(ctx context.Context, call func(ctx context.Context, q *store.Queries) error) {
	if err := w.cells.Do(ctx, w.cell, call); err != nil && w.wrong == nil {
		w.wrong = err
	}
	w.calls.Add(1)
}

func (w *worker) step(ctx context.Context) {
	cell, _ := w.cells.Named(w.cell)
	scheme := cell.Scheme()
	if len(w.grants) < 4 || w.rng.IntN(4) == 0 {
		g := &grant{id: store.NewAuthorizationID(), access: scheme.Mint(token.AccessToken), refresh: scheme.Mint(token.RefreshToken)}
		access, refresh := store.NewAccessTokenID(), store.NewRefreshTokenID()
		w.do(ctx, func(ctx context.Context, q *store.Queries) error {
			row, err := q.IssueGrant(ctx, store.IssueGrantParams{
				ID: g.id, ClientID: w.client, UserID: w.user, GrantType: "authorization_code", Scopes: []string{"openid"},
				AccessTokenID: access, AccessToken: new(g.access.Digest()), AccessTokenLifetime: time.Hour,
				RefreshTokenID: &refresh, RefreshToken: new(g.refresh.Digest()), RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
			})
			return want(err, row.Outcome, store.OutcomeIssued)
		})
		w.grants = append(w.grants, g)
		return
	}
	g := w.grants[w.rng.IntN(len(w.grants))]
	switch w.rng.IntN(4) {
	case 0:
		w.do(ctx, func(ctx context.Context, q *store.Queries) error {
			_, err := q.RevokeAuthorization(ctx, g.id)
			return err
		})
		g.ended = true
	case 1:
		next, access := w.keys.Successor(g.refresh), scheme.Mint(token.AccessToken)
		successor, id := store.NewRefreshTokenID(), store.NewAccessTokenID()
		w.do(ctx, func(ctx context.Context, q *store.Queries) error {
			row, err := q.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
				Token: g.refresh.Digest(), ClientID: w.client, ClientAuthMethod: "none", SuccessorID: successor, Successor: next.Digest(),
				RefreshTokenLifetime: time.Hour, AccessTokenID: id, AccessToken: new(access.Digest()), AccessTokenLifetime: time.Hour,
			})
			if g.ended {
				return want(err, row.Outcome, store.OutcomeRevoked)
			}
			return want(err, row.Outcome, store.OutcomeRotated)
		})
		if !g.ended {
			g.refresh, g.access = next, access
		}
	default:
		w.do(ctx, func(ctx context.Context, q *store.Queries) error { return w.judge(ctx, q, g) })
	}
}

// judge says whether a store and the worker agree about a grant.
func (w *worker) judge(ctx context.Context, q *store.Queries, g *grant) error {
	for _, presented := range []token.Raw{g.access, g.refresh} {
		row, err := q.IntrospectToken(ctx, store.IntrospectTokenParams{Token: presented.Digest(), ClientAuthMethod: "server"})
		if err == nil && (row.Outcome == store.OutcomeActive) == g.ended {
			err = fmt.Errorf("introspection says %s of a grant that has ended: %v", row.Outcome, g.ended)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func want(err error, got, want store.Outcome) error {
	if err == nil && got != want {
		return fmt.Errorf("%s, want %s", got, want)
	}
	return err
}

// move moves a cell while servers work, and returns them, with what went wrong. Without closing the old place first, something should.
func move(t *testing.T, before, after *place, closing bool) ([]*worker, error) {
	t.Helper()
	all, err := cells.New(cells.Options{MoveWait: time.Minute}, cells.Cell{Name: "eu1", Store: before.store})
	ok(t, err)
	keys, err := token.NewSuccessors([]byte("a key of 32 bytes or more, kept as a secret"))
	ok(t, err)

	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	var calls atomic.Int64
	workers := make([]*worker, 4)
	for i := range workers {
		w := &worker{
			cells: all, cell: "eu1", client: store.ClientID(fmt.Sprint("client", i)), user: store.UserID(fmt.Sprint("user", i)), keys: keys,
			rng: rand.New(rand.NewPCG(1, uint64(i))), calls: &calls,
		}
		_, err := before.store.CreateUser(t.Context(), store.CreateUserParams{ID: w.user, Name: "Ada"})
		ok(t, err)
		_, err = before.store.CreateClient(t.Context(), store.CreateClientParams{
			ID: store.NewOAuthClientID(), ClientID: w.client, TokenEndpointAuthMethod: new("none"), Scopes: []string{"openid"},
			GrantTypes: []string{"authorization_code", "refresh_token"}, RedirectURIs: []string{"https://client.example/"},
		})
		ok(t, err)
		workers[i] = w
		working.Go(func() {
			for ctx.Err() == nil {
				w.step(t.Context())
			}
		})
	}
	busy := func() {
		from := calls.Load()
		fixture.Within(t, time.Minute, "the servers are at work", func() bool { return calls.Load() > from+200 })
	}

	busy()
	before.run(page(t, "old publish"))
	after.run(page(t, "new subscribe"), "old="+before.cluster.URL)
	after.until("new copied")
	busy()
	began := time.Now()
	var closed, position string
	if closing {
		before.run(page(t, "old close"))
		before.row(`SELECT clock_timestamp()::text`, &closed)
		before.until("old drained", "closed="+closed)
	}
	before.row(`SELECT pg_current_wal_lsn()::text`, &position)
	before.until("old followed", "position="+position)
	after.run(page(t, "new open"))
	// A server that has not heard of it gets no answer.
	if row, err := before.store.IntrospectToken(t.Context(), store.IntrospectTokenParams{Token: fixture.Digest("x"), ClientAuthMethod: "server"}); closing && err == nil {
		t.Errorf("the old place answers %s", row.Outcome)
	}
	ok(t, all.Replace(cells.Cell{Name: "eu1", Store: after.store}))
	t.Logf("the servers waited for %v at most", time.Since(began))
	busy()
	stop()
	working.Wait()

	live, ended := 0, 0
	var wrong []error
	for _, w := range workers {
		wrong = append(wrong, w.wrong)
		for _, g := range w.grants {
			wrong = append(wrong, w.judge(t.Context(), after.store, g))
			if g.ended {
				ended++
			} else {
				live++
			}
		}
	}
	if live == 0 || ended == 0 {
		t.Errorf("%d grants are live and %d have ended, want some of each", live, ended)
	}
	t.Logf("%d calls; %d grants are live, %d have ended", calls.Load(), live, ended)
	return workers, errors.Join(wrong...)
}

// The fault that TestACellMovesUnderLoad would find.
func TestMoveWithoutClosingIsSeen(t *testing.T) {
	t.Parallel()
	if _, err := move(t, newPlace(t), newPlace(t), false); err == nil {
		t.Error("the old place was not closed, and nothing is lost")
	} else {
		t.Log(strings.SplitN(err.Error(), "\n", 2)[0])
	}
}

func TestACellMovesUnderLoad(t *testing.T) {
	t.Parallel()
	before, after := newPlace(t), newPlace(t)
	workers, err := move(t, before, after, true)
	ok(t, err)

	// The other cell is killed. Nobody notices who is not about it.
	two, err := cells.New(cells.Options{}, cells.Cell{Name: "up", Store: after.store}, cells.Cell{Name: "down", Store: before.store})
	ok(t, err)
	ok(t, before.cluster.Kill(t.Context()))
	for _, w := range workers {
		w.cells, w.cell = two, "up"
		for range 20 {
			w.step(t.Context())
		}
		ok(t, w.wrong)
	}
	err = two.Each(t.Context(), func(ctx context.Context, cell cells.Cell) error {
		_, err := cell.Store.RevokeClientAuthorizations(ctx, workers[0].client)
		return err
	})
	var failed *cells.Error
	if !errors.As(err, &failed) || failed.Cell != "down" || strings.Contains(err.Error(), "cell up") {
		t.Errorf("%v, want an error of the cell that is down, and of no other", err)
	}
	for _, g := range workers[0].grants {
		g.ended = true
		ok(t, workers[0].judge(t.Context(), after.store, g))
	}
	byID := func(id store.UserID) func(context.Context, *store.Queries) (store.User, error) {
		return func(ctx context.Context, q *store.Queries) (store.User, error) { return q.GetUser(ctx, id) }
	}
	if _, cell, err := cells.First(t.Context(), two, byID("user0")); err != nil || cell.Name != "up" {
		t.Errorf("found in %q, %v", cell.Name, err)
	}
	if _, _, err := cells.First(t.Context(), two, byID("nobody")); err == nil || db.IsNotFound(err) {
		t.Errorf("%v, although one of the cells could not be asked", err)
	}
}

func TestClientsAreInAllCells(t *testing.T) {
	t.Parallel()
	first, other := newPlace(t), newPlace(t)
	first.run(page(t, "first"))
	other.run(page(t, "others"))
	other.run(page(t, "subscribe"), "first="+first.cluster.URL, "slot=clients_two")
	all, err := cells.New(cells.Options{}, cells.Cell{Name: "one", Store: first.store}, cells.Cell{Name: "two", Store: other.store})
	ok(t, err)

	client, secret := store.NewClientID(), token.Mint(token.ClientSecret)
	_, err = first.store.CreateClient(t.Context(), store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: client, ClientSecret: new(secret.Digest()), TokenEndpointAuthMethod: new("client_secret_basic"),
		GrantTypes: []string{"client_credentials"}, Scopes: []string{"notes"},
	})
	ok(t, err)
	authenticated := func(p *place) store.Outcome {
		row, err := p.store.AuthenticateClient(t.Context(), store.AuthenticateClientParams{
			ClientID: client, ClientAuthMethod: "client_secret_basic", ClientSecret: secret.Digest(),
		})
		ok(t, err)
		return row
	}
	issue := func(cell cells.Cell) token.Raw {
		raw := cell.Scheme().Mint(token.AccessToken)
		row, err := cell.Store.IssueAccessToken(t.Context(), store.IssueAccessTokenParams{
			ID: store.NewAccessTokenID(), AccessToken: new(raw.Digest()), ClientID: client, ClientAuthMethod: "client_secret_basic",
			ClientSecret: secret.Digest(), Scopes: []string{"notes"}, Lifetime: time.Hour,
		})
		ok(t, want(err, row.Outcome, store.OutcomeIssued))
		return raw
	}
	live := func(raw token.Raw) bool {
		cell, kind, err := all.Of(raw.Reveal())
		ok(t, err)
		if kind != token.AccessToken {
			t.Errorf("a token of kind %v", kind)
		}
		row, err := cell.Store.IntrospectToken(t.Context(), store.IntrospectTokenParams{Token: raw.Digest(), ClientAuthMethod: "server"})
		ok(t, err)
		return row.Outcome == store.OutcomeActive
	}
	fixture.Within(t, time.Minute, "the client is in the other cell", func() bool { return authenticated(other) == store.OutcomeAuthenticated })
	var tokens []token.Raw
	for _, cell := range all.All() {
		tokens = append(tokens, issue(cell))
	}

	// An ending is counted in each cell, and a later change of the client doesn't take that back.
	for range 2 { // the other cell counts more than the first
		_, err = other.store.RevokeClientAuthorizations(t.Context(), client)
		ok(t, err)
	}
	ok(t, all.Each(t.Context(), func(ctx context.Context, cell cells.Cell) error {
		_, err := cell.Store.RevokeClientAuthorizations(ctx, client)
		return err
	}))
	_, err = first.store.UpdateClient(t.Context(), store.UpdateClientParams{ClientID: client, Name: new("Renamed")})
	ok(t, err)
	fixture.Within(t, time.Minute, "the other cell has the new name", func() bool {
		c, err := other.store.GetClient(t.Context(), client)
		return err == nil && c.Name != nil && *c.Name == "Renamed"
	})
	for i, raw := range tokens {
		if live(raw) {
			t.Errorf("token %d is live after the ending", i)
		}
	}

	// A deleted client is marked in each cell, and erased there by the cell's collector.
	ok(t, all.Each(t.Context(), func(ctx context.Context, cell cells.Cell) error {
		_, err := cell.Store.DeleteClient(ctx, client)
		return err
	}))
	for _, p := range []*place{first, other} {
		_, err := db.NewCollector(p.owner(), db.CollectorOptions{Retention: -1}).Collect(t.Context())
		ok(t, err)
		var left int
		p.row(`SELECT count(*) FROM oauth_client`, &left)
		if left != 0 {
			t.Errorf("%d clients are left", left)
		}
	}
}

// The slot of a subscription is lost with the first cell's primary. To subscribe again copies what has changed since, over rows that are there.
func TestClientsAreCopiedAgain(t *testing.T) {
	t.Parallel()
	first, other := newPlace(t), newPlace(t)
	subscribe := func() { other.run(page(t, "subscribe"), "first="+first.cluster.URL, "slot=clients_two") }
	named := func(client store.ClientID, name string) {
		t.Helper()
		fixture.Within(t, time.Minute, fmt.Sprintf("%s is %s in the other cell", client, name), func() bool {
			c, err := other.store.GetClient(t.Context(), client)
			return err == nil && c.Name != nil && *c.Name == name
		})
	}
	create := func(client store.ClientID, name string) {
		t.Helper()
		_, err := first.store.CreateClient(t.Context(), store.CreateClientParams{
			ID: store.NewOAuthClientID(), ClientID: client, ClientSecret: new(fixture.Digest("secret")), Name: &name, Scopes: []string{"notes"},
			TokenEndpointAuthMethod: new("client_secret_basic"), GrantTypes: []string{"client_credentials"},
		})
		ok(t, err)
	}
	first.run(page(t, "first"))
	other.run(page(t, "others"))
	subscribe()
	create("notes", "Notes")
	named("notes", "Notes")
	for range 2 { // the other cell counts more than the first
		_, err := other.store.RevokeClientAuthorizations(t.Context(), "notes")
		ok(t, err)
	}

	// One that the other cell had received and the first has lost is registered again.
	create("lost", "Lost")
	named("lost", "Lost")
	first.run(`DELETE FROM oauth_client WHERE client_id = 'lost'`)
	create("lost", "Registered again")
	named("lost", "Registered again")

	other.run(`ALTER SUBSCRIPTION clients DISABLE`)
	fixture.Within(t, time.Minute, "the slot is lost", func() bool {
		return first.run(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active; SELECT count(*) FROM pg_replication_slots`) == "0"
	})
	_, err := first.store.UpdateClient(t.Context(), store.UpdateClientParams{ClientID: "notes", Name: new("Renamed")})
	ok(t, err)
	create("later", "Later")

	// Without the triggers, rows that are there are in the way.
	other.run(`ALTER TABLE oauth_client DISABLE TRIGGER copied`)
	other.run(page(t, "unsubscribe"))
	subscribe()
	fixture.Within(t, time.Minute, "the copy fails", func() bool {
		return other.run(`SELECT sync_error_count > 0 FROM pg_stat_subscription_stats`) == "t"
	})
	if c, err := other.store.GetClient(t.Context(), "later"); !db.IsNotFound(err) {
		t.Errorf("%v, %v, although the copy fails", c, err)
	}
	other.run(`ALTER TABLE oauth_client ENABLE REPLICA TRIGGER copied`)
	named("notes", "Renamed")
	named("later", "Later")
	named("lost", "Registered again")
	other.until("new copied")
	_, err = first.store.UpdateClient(t.Context(), store.UpdateClientParams{ClientID: "later", Name: new("And renamed")})
	ok(t, err)
	named("later", "And renamed")
	var epoch int64
	other.row(`SELECT grants_epoch FROM oauth_client WHERE client_id = 'notes'`, &epoch)
	if epoch != 2 {
		t.Errorf("the other cell has counted %d endings, want 2", epoch)
	}
}

// owner is a store that may do everything.
func (p *place) owner() *store.Queries {
	p.Helper()
	pool, err := db.Open(p.Context(), p.cluster.URL, db.Options{})
	ok(p, err)
	p.Cleanup(pool.Close)
	return store.New(pool)
}
