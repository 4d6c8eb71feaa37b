package linear

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/storetests/model"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// World is two users with their clients and sessions, and the history of all calls about them. Its methods can be called from several
// goroutines, but for [Check], which has to wait until all calls have returned.
type World struct {
	name  string
	mood  string
	users []store.UserID
	start *model.State // after what NewWorld has called

	mu    sync.Mutex
	calls []porcupine.Operation
	lost  int
	known
}

// input is what the checker sees of a call.
type input struct {
	call model.Call
	span model.Span
}

// began is when time starts for all histories.
var began = time.Now()

// NewWorld writes two users, three clients and a session of each user. The name is part of all ids, so a database has no two worlds of the
// same name. It also decides which calls [World.Work] makes most often.
func NewWorld(ctx context.Context, db store.DBTX, name string) (*World, error) {
	return newWorld(ctx, db, name, moods[int(fixture.Digest(name)[0])%len(moods)])
}

func newWorld(ctx context.Context, db store.DBTX, name, mood string) (*World, error) {
	w := &World{name: name, mood: mood, start: model.NewState(), known: known{names: map[token.Digest]string{}, counts: map[string]int{}}}
	w.users = []store.UserID{store.UserID(w.id("u")), store.UserID(w.id("u"))}
	var calls []model.Call
	for _, u := range w.users {
		calls = append(calls, model.Call{Name: "CreateUser", Params: store.CreateUserParams{ID: u, Name: name, Email: new(fmt.Sprintf("%s@example.com", u))}})
		s := w.session(u)
		calls = append(calls, model.Call{Name: "CreateSession", Params: s})
		w.known.sessions = append(w.known.sessions, ofSession{s.ID, s.Token, u})
	}
	grants := []string{"authorization_code", "refresh_token", "client_credentials", deviceGrant, fixture.TokenExchange}
	for _, p := range []store.CreateClientParams{
		{TokenEndpointAuthMethod: new("client_secret_basic"), ClientSecret: new(w.secret())},
		{TokenEndpointAuthMethod: new("none"), UserID: &w.users[1]},
		{TokenEndpointAuthMethod: new("private_key_jwt"), JWKS: []byte(`{"keys": []}`), RefreshGraceUntilUsed: new(true)},
	} {
		p.ClientID = store.ClientID(w.id("c"))
		p.ID, p.RedirectURIs, p.GrantTypes = store.OAuthClientID(p.ClientID), []string{fixture.RedirectURI}, grants
		w.clients = append(w.clients, p.ClientID)
		calls = append(calls, model.Call{Name: "CreateClient", Params: p})
	}
	for _, c := range calls {
		state, want := w.start.After(c)
		got, err := c.Make(ctx, db)
		if err == nil && got != want {
			err = fmt.Errorf("got %v, want %v", got, want)
		}
		if err != nil {
			return nil, fmt.Errorf("linear: %s: %w", c.Text(w.names), err)
		}
		w.start = state
	}
	return w, nil
}

// Call makes a call and records it. A call that got no answer has the outcome [model.Lost]; it is an error only if the server has
// answered with one, which no call may get.
func (w *World) Call(ctx context.Context, db store.DBTX, worker int, c model.Call) (model.Answer, error) {
	from := time.Since(began).Nanoseconds()
	a, err := c.Make(ctx, db)
	to := time.Since(began).Nanoseconds()
	if err != nil {
		if IsAnswer(err) {
			return a, fmt.Errorf("linear: %s: %w", c.Text(w.names), err)
		}
		a, to = model.Answer{Outcome: model.Lost}, math.MaxInt64
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.Outcome == model.Lost {
		w.lost++
		if c.Reads() {
			return a, nil
		}
	}
	w.calls = append(w.calls, porcupine.Operation{ClientId: worker, Input: input{c, model.Span{From: from, To: to}}, Call: from, Output: a, Return: to})
	return a, nil
}

// IsAnswer says whether an error is one that the server has answered the call with, so that the call has changed nothing, or one of the caller's
// own making. It isn't if the server was going down, or the connection broke.
func IsAnswer(err error) bool {
	if e, found := errors.AsType[*pgconn.PgError](err); found {
		return !strings.HasPrefix(e.Code, "57P") && !strings.HasPrefix(e.Code, "08") && e.Severity != "FATAL" && e.Severity != "PANIC"
	}
	scanning, _ := errors.AsType[pgx.ScanArgError](err)
	return scanning.Err != nil || strings.Contains(err.Error(), "failed to encode")
}

// Calls says how many calls were recorded, and Lost how many got no answer.
func (w *World) Calls() int { return len(w.calls) }

// Lost says how many calls got no answer.
func (w *World) Lost() int { return w.lost }

// Outcomes counts the answers, by call.
func (w *World) Outcomes() map[string]int {
	counts := map[string]int{}
	for _, op := range w.calls {
		counts[op.Input.(input).call.Name+" "+string(op.Output.(model.Answer).Outcome)]++
	}
	return counts
}

// Overlaps says with how many earlier calls a call overlaps on average.
func (w *World) overlaps() (n int) {
	for i, a := range w.calls {
		for _, b := range w.calls[:i] {
			if a.Call <= b.Return && b.Call <= a.Return {
				n++
			}
		}
	}
	return n
}

// history is what the checker gets, in the order in which the calls were made.
func (w *World) history() []porcupine.Operation {
	ops := slices.Clone(w.calls)
	slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return overtaken(ops)
}

// overtaken notes with each ending how long grants are under way that overlap it.
func overtaken(ops []porcupine.Operation) []porcupine.Operation {
	for i, e := range ops {
		in := e.Input.(input)
		in.span = model.Span{From: e.Call, To: e.Return}
		if in.call.Ends(e.Output.(model.Answer)) {
			for _, g := range ops {
				if g.Input.(input).call.MayOvertake(g.Output.(model.Answer)) && g.Call <= e.Return && e.Call <= g.Return {
					in.span.Overtaken = max(in.span.Overtaken, g.Return)
				}
			}
		}
		ops[i].Input = in
	}
	return ops
}
