package failover

import (
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// TestGraceHasToOutlastAFailover loses the answers of rotations together with the primary that had committed them. The clients
// present their refresh tokens again once there is a primary. A grace that has run out by then ends their families, honest as
// they are.
func TestGraceHasToOutlastAFailover(t *testing.T) {
	wanted(t)
	p := newPair(t, true)
	w := p.world
	w.User = w.NewUser()
	w.Client = w.NewClient(func(c *store.CreateClientParams) { c.Public = new(true) })
	w.Session = w.NewSession(w.User)
	const short = 200 * time.Millisecond
	cases := []struct {
		what   string
		want   store.Outcome
		same   bool // the server repeats the very same call; else the client presents the token in a new request
		change func(*store.RotateRefreshTokenParams)
		first  store.RotateRefreshTokenParams
		tokens fixture.Tokens
	}{
		{what: "a short grace", want: store.OutcomeReplayed, change: func(p *store.RotateRefreshTokenParams) { p.Grace = short }},
		{what: "a grace longer than the failover", want: store.OutcomeRetried, change: func(p *store.RotateRefreshTokenParams) { p.Grace = 2 * time.Minute }},
		{what: "a grace until the successor is used", want: store.OutcomeRetried, change: func(p *store.RotateRefreshTokenParams) { p.GraceUntilUsed = true }},
		{what: "the same call, whatever the grace", want: store.OutcomeRetried, same: true, change: func(p *store.RotateRefreshTokenParams) { p.Grace = short }},
	}
	for i := range cases {
		c := &cases[i]
		c.tokens = w.Redeem()
		c.first, _ = w.RotateParams(c.tokens.Refresh)
		c.change(&c.first)
		r, err := w.Q.RotateRefreshToken(w.Ctx, c.first)
		w.OK(err)
		w.Want("RotateRefreshToken", r.Outcome, store.OutcomeRotated)
	}
	p.failOver(0, func() {})
	time.Sleep(short)
	for _, c := range cases {
		again := c.first
		if !c.same {
			again, _ = w.RotateParams(c.tokens.Refresh)
			c.change(&again)
		}
		r, err := w.Q.RotateRefreshToken(w.Ctx, again)
		w.OK(err)
		if r.Outcome != c.want {
			t.Errorf("%s: %s, want %s", c.what, r.Outcome, c.want)
		}
		if lives := w.Live(fixture.SuccessorOf(c.tokens.Refresh)); lives != (c.want == store.OutcomeRetried) {
			t.Errorf("%s: the successor is live: %t", c.what, lives)
		}
	}
}
