package calls

import (
	"context"
	"errors"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

// meter counts what a connection sends: statements, as pgx traces them, and round trips, as the network sees them.
type meter struct {
	mu         sync.Mutex
	statements []string
	trips      int
	answered   bool // something has been read since the last write
}

func (m *meter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statements = append(m.statements, data.SQL)
	return ctx
}

func (m *meter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// reset begins a new count and returns the one before.
func (m *meter) reset() (statements []string, trips int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	statements, trips = m.statements, m.trips
	m.statements, m.trips, m.answered = nil, 0, true
	return statements, trips
}

// meteredConn is a connection whose meter counts a round trip for every write that follows a read.
type meteredConn struct {
	net.Conn
	meter *meter
}

func (c meteredConn) Write(b []byte) (int, error) {
	c.meter.mu.Lock()
	if c.meter.answered {
		c.meter.trips++
		c.meter.answered = false
	}
	c.meter.mu.Unlock()
	return c.Conn.Write(b)
}

func (c meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.meter.mu.Lock()
		c.meter.answered = true
		c.meter.mu.Unlock()
	}
	return n, err
}

// newMeteredWorld is newWorld, and beside it the store on one metered connection.
func newMeteredWorld(t *testing.T) (*world, *pgx.Conn, *meter) {
	t.Helper()
	db := storetest.New(t, storetest.MaxConns(2))
	w := worldOf(t, db.Pool)
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	w.Client = w.NewClient(func(c *store.CreateClientParams) { c.Public = new(true) })

	config, err := pgx.ParseConfig(db.URL)
	w.OK(err)
	m := &meter{}
	config.Tracer = m
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return meteredConn{c, m}, nil
	}
	conn, err := pgx.ConnectConfig(w.Ctx, config)
	w.OK(err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	m.reset()
	return w, conn, m
}

// argument is a value that a call can work with: of the world where it names something, new where it is to be made.
func (w *world) argument(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch {
	case t == reflect.TypeFor[store.UserID]():
		v.SetString(string(w.User))
	case t == reflect.TypeFor[store.ClientID]():
		v.SetString(string(w.Client))
	case t == reflect.TypeFor[store.SessionID]():
		v.SetString(string(w.Session))
	case t == reflect.TypeFor[token.Digest]():
		v.Set(reflect.ValueOf(fixture.Digest(fixture.Unique("budget"))))
	case t == reflect.TypeFor[*token.Digest]():
		v.Set(reflect.ValueOf(new(fixture.Digest(fixture.Unique("budget")))))
	case t == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Now().Add(time.Hour)))
	case t == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(time.Minute))
	case t == reflect.TypeFor[[]string]():
		v.Set(reflect.ValueOf([]string{}))
	case t.Kind() == reflect.String:
		v.SetString(fixture.Unique("budget"))
	case t.Kind() == reflect.Int32:
		v.SetInt(10)
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			v.Field(i).Set(w.argument(t.Field(i).Type))
		}
	}
	switch p := v.Addr().Interface().(type) {
	case *store.CreateUserParams:
		p.ID, p.Email = store.NewUserID(), new(fixture.Unique("budget")+"@example.com")
	case *store.CreateSessionParams:
		p.ID = store.NewSessionID()
	case *store.CreateClientParams:
		p.ClientID, p.RedirectURIs = store.NewClientID(), []string{fixture.RedirectURI}
	case *store.CreateInitialAccessTokenParams:
		p.MaxUses = 1
	case *store.UpdateClientParams:
		p.RedirectURIs = nil
	case *store.UpdateUserParams:
		p.Email = nil
	case *store.ReplaceRecoveryCodesParams:
		p.Digests = token.Digests{fixture.Digest("budget")}
	case *store.ImportRefreshTokenParams:
		p.Tokens = token.Digests{fixture.Digest(fixture.Unique("budget"))}
	}
	return v
}

// TestEveryCallIsOneStatementAndOneRoundTrip calls everything that the store has, whatever it answers.
func TestEveryCallIsOneStatementAndOneRoundTrip(t *testing.T) {
	t.Parallel()
	w, conn, m := newMeteredWorld(t)
	queries := reflect.ValueOf(store.New(conn))
	calls := reflect.TypeFor[store.Querier]()

	var others []string
	for i := range queries.NumMethod() {
		name := queries.Type().Method(i).Name
		if _, found := calls.MethodByName(name); !found {
			others = append(others, name)
		}
	}
	wantEqual(t, "methods of Queries that are no calls", others, []string{"WithTx"})

	names := map[string]string{}
	for i := range calls.NumMethod() {
		name := calls.Method(i).Name
		call := queries.MethodByName(name)
		var sent []string
		var trips int
		for range 2 { // the first time prepares
			w.User = w.NewUser()
			w.Session, w.Client = w.NewSession(w.User), w.NewClient()
			args := []reflect.Value{reflect.ValueOf(w.Ctx)}
			for i := 1; i < call.Type().NumIn(); i++ {
				args = append(args, w.argument(call.Type().In(i)))
			}
			m.reset()
			results := call.Call(args)
			sent, trips = m.reset()
			// After an error pgx prepares anew, which would be counted.
			if err, _ := results[len(results)-1].Interface().(error); err != nil && !errors.Is(err, pgx.ErrNoRows) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(sent) != 1 || trips != 1 {
			t.Errorf("%s: %d statements in %d round trips, want 1 in 1", name, len(sent), trips)
			continue
		}
		if other, found := names[sent[0]]; found {
			t.Errorf("%s and %s are the same statement", name, other)
		}
		names[sent[0]] = name
		if _, err := conn.Prepare(w.Ctx, name, sent[0]); err != nil { // which several statements in one text can't be
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Logf("%d calls", calls.NumMethod())
}

func TestTheMeterSeesEveryStatementAndRoundTrip(t *testing.T) {
	t.Parallel()
	w, conn, m := newMeteredWorld(t)
	q := store.New(conn)
	for range 2 {
		m.reset()
		_, err := q.GetClient(w.Ctx, w.Client)
		w.OK(err)
		_, err = q.GetUser(w.Ctx, w.User)
		w.OK(err)
	}
	sent, trips := m.reset()
	wantEqual(t, "two calls", []int{len(sent), trips}, []int{2, 2})
	for range 2 {
		m.reset()
		w.OK(pgx.BeginFunc(w.Ctx, conn, func(tx pgx.Tx) error { _, err := q.WithTx(tx).GetUser(w.Ctx, w.User); return err }))
	}
	sent, trips = m.reset()
	wantEqual(t, "a call in a transaction", []int{len(sent), trips}, []int{3, 3})
	if _, err := conn.Prepare(w.Ctx, "two", "SELECT 1; SELECT 2"); err == nil {
		t.Error("two statements can be prepared as one")
	}
}

// The whole work of the token, introspection and revocation endpoints is one statement each, the client's authentication included.
func TestEndpointSpendsOneStatement(t *testing.T) {
	t.Parallel()
	w, conn, m := newMeteredWorld(t)
	q := store.New(conn)
	for client, method := range map[store.ClientID]string{w.Client: "none", w.NewClient(): "client_secret_basic"} {
		for measured := range 2 { // the first time prepares
			_, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.ClientID = client })
			works := []struct {
				want store.Outcome
				work func() (store.Outcome, error)
			}{
				{store.OutcomeRedeemed, func() (store.Outcome, error) {
					p := w.RedeemParams(code)
					p.ClientID, p.ClientAuthMethod, p.ClientSecret = client, method, fixture.Digest(fixture.Secret)
					row, err := q.RedeemAuthorizationCode(w.Ctx, p)
					return row.Outcome, err
				}},
				{store.OutcomeRotated, func() (store.Outcome, error) {
					p, _ := w.RotateParams("rt-" + code)
					p.ClientID, p.ClientAuthMethod, p.ClientSecret = client, method, fixture.Digest(fixture.Secret)
					row, err := q.RotateRefreshToken(w.Ctx, p)
					return row.Outcome, err
				}},
				{map[bool]store.Outcome{true: store.OutcomeUnauthenticated, false: store.OutcomeActive}[method == "none"], func() (store.Outcome, error) {
					row, err := q.IntrospectToken(w.Ctx, store.IntrospectTokenParams{
						Token: fixture.Digest("at-" + code), ClientID: client, ClientAuthMethod: method, ClientSecret: fixture.Digest(fixture.Secret),
					})
					return row.Outcome, err
				}},
				{store.OutcomeEnded, func() (store.Outcome, error) {
					row, err := q.RevokeToken(w.Ctx, store.RevokeTokenParams{
						Token: fixture.Digest("at-" + code), ClientID: client, ClientAuthMethod: method, ClientSecret: fixture.Digest(fixture.Secret),
					})
					return row.Outcome, err
				}},
			}
			for _, c := range works {
				m.reset()
				outcome, err := c.work()
				sent, trips := m.reset()
				w.OK(err)
				w.want(method, outcome, c.want)
				if measured == 1 {
					wantEqual(t, "statements and round trips", []int{len(sent), trips}, []int{1, 1})
				}
			}
		}
	}
}
