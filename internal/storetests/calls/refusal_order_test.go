package calls

import (
	"encoding/json"
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// reason is what a call refuses for: other parameters, other rows, or both.
type reason[P any] struct {
	want   store.Outcome
	change func(*P)
	rows   string
}

// refusesInOrder calls with each of the reasons, and with each and the next ones at once, up to one of another outcome: the earlier one is the
// answer. What has no reason against it comes to done.
func refusesInOrder[P any](w *world, params P, call func(*store.Queries, P) (store.Outcome, error), done store.Outcome, reasons ...reason[P]) {
	w.Helper()
	for i, first := range append(reasons, reason[P]{want: done}) {
		for j, second := range reasons[min(i, len(reasons)-1):] {
			w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
				w.Helper()
				p, both := params, []reason[P]{second, first}
				switch {
				case i == len(reasons):
					both = nil
				case j == 0:
					both = both[1:] // alone
				}
				for _, r := range both {
					if r.change != nil {
						r.change(&p)
					}
					if r.rows != "" {
						exec(r.rows)
					}
				}
				got, err := call(q, p)
				w.OK(err)
				if got != first.want {
					w.Errorf("reasons %d (%s) and %d (%s): %s", i, first.want, i+j, second.want, got)
				}
			})
			if second.want != first.want {
				break
			}
		}
	}
}

func TestPollDeviceCodeRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	another := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant} })
	d := w.approvedDevice(func(p *store.ApproveAuthorizationParams) { p.GrantedScopes = []string{"openid"} })
	type params = store.PollDeviceCodeParams
	reasons := []reason[params]{
		{store.OutcomeUnauthenticated, func(p *params) { p.ClientAuthMethod = "" }, ""},
		{store.OutcomeUnknown, func(p *params) { p.DeviceCode = fixture.Digest("no code") }, ""},
		{store.OutcomeMismatched, func(p *params) { p.ClientID = another }, ""},
		{store.OutcomeExpired, nil, `UPDATE oauth_polled_request SET expires_at = now()`},
		{store.OutcomeDisabled, nil, `UPDATE oauth_client SET disabled = true`},
		{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET grant_types = '{authorization_code}'`},
		{store.OutcomeRevoked, nil, `UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'token_revoked'`},
		{store.OutcomeAuthorizationPending, nil, `UPDATE oauth_authorization SET status = 'pending' WHERE kind = 'device'`},
		{store.OutcomeDenied, nil, `UPDATE oauth_authorization SET status = 'denied' WHERE kind = 'device'`},
		{store.OutcomeMismatched, nil, `UPDATE oauth_authorization SET confirmation = '{"jkt": "key"}'`},
		{store.OutcomeMismatched, nil, `UPDATE oauth_client SET tls_client_certificate_bound_access_tokens = true`},
		{store.OutcomeRevoked, nil, `UPDATE session SET ended_at = now(), expires_at = now()`},
		{store.OutcomeInvalidTarget, func(p *params) { p.Resources = []string{"https://bank.example"} }, ""},
		{store.OutcomeInvalidAuthorizationDetails, func(p *params) { p.AuthorizationDetails = json.RawMessage(`[{"type": "pay"}]`) }, ""},
		{store.OutcomeInvalidScope, nil, `UPDATE oauth_client SET scopes = '{}'`},
	}
	call := func(q *store.Queries, p params) (store.Outcome, error) {
		row, err := q.PollDeviceCode(w.Ctx, p)
		return row.Outcome, err
	}
	refusesInOrder(w, w.pollParams(d.code), call, store.OutcomeRedeemed, reasons...)
}

func TestCreateDeviceAuthorizationRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	taken := w.device()
	type params = store.CreateDeviceAuthorizationParams
	refusesInOrder(w, w.deviceParams(newDevice()),
		func(q *store.Queries, p params) (store.Outcome, error) {
			row, err := q.CreateDeviceAuthorization(w.Ctx, p)
			return row.Outcome, err
		},
		store.OutcomeCreated,
		reason[params]{store.OutcomeUnauthenticated, func(p *params) { p.ClientAuthMethod = "" }, ""},
		reason[params]{store.OutcomeDisabled, nil, `UPDATE oauth_client SET disabled = true`},
		reason[params]{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET grant_types = '{authorization_code}'`},
		reason[params]{store.OutcomeInvalidScope, func(p *params) { p.Scopes = []string{"admin"} }, ""},
		reason[params]{store.OutcomeInvalidTarget, func(p *params) { p.Resources = []string{"https://bank.example"} }, ""},
		reason[params]{store.OutcomeInvalidAuthorizationDetails, func(p *params) { p.AuthorizationDetails = json.RawMessage(`[{"type": "admin"}]`) }, ""},
		reason[params]{store.OutcomeTaken, func(p *params) { p.UserCode = fixture.Digest(taken.user) }, ""},
	)
}

func TestCreateBackchannelAuthenticationRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newCIBAWorld(t, 2)
	p := w.backchannelParams("taken")
	_, err := w.Q.CreateBackchannelAuthentication(w.Ctx, p)
	w.OK(err)
	type params = store.CreateBackchannelAuthenticationParams
	refusesInOrder(w, w.backchannelParams("free"),
		func(q *store.Queries, p params) (store.Outcome, error) {
			row, err := q.CreateBackchannelAuthentication(w.Ctx, p)
			return row.Outcome, err
		},
		store.OutcomeCreated,
		reason[params]{store.OutcomeUnauthenticated, func(p *params) { p.ClientAuthMethod = "" }, ""},
		reason[params]{store.OutcomeDisabled, nil, `UPDATE oauth_client SET disabled = true`},
		reason[params]{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET public = true`},
		reason[params]{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET grant_types = '{authorization_code}'`},
		reason[params]{store.OutcomeUnknown, func(p *params) { p.UserID = "nobody" }, ""},
		reason[params]{store.OutcomeSuspended, nil, `UPDATE "user" SET suspended_at = now()`},
		reason[params]{store.OutcomeInvalidScope, func(p *params) { p.Scopes = []string{"admin"} }, ""},
		reason[params]{store.OutcomeInvalidTarget, func(p *params) { p.Resources = []string{"https://bank.example"} }, ""},
		reason[params]{store.OutcomeInvalidAuthorizationDetails, func(p *params) { p.AuthorizationDetails = json.RawMessage(`[{"type": "admin"}]`) }, ""},
		reason[params]{store.OutcomeTaken, func(p *params) { p.AuthReqID = fixture.Digest("taken") }, ""},
	)
}

func TestFindAuthorizationByUserCodeRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	another := w.NewUser()
	d := w.device()
	w.find(d.user, store.OutcomeClaimed)
	type params = store.FindAuthorizationByUserCodeParams
	refusesInOrder(w, params{UserCode: fixture.Digest(d.user), UserID: w.User, SessionID: &w.Session},
		func(q *store.Queries, p params) (store.Outcome, error) {
			row, err := q.FindAuthorizationByUserCode(w.Ctx, p)
			return row.Outcome, err
		},
		store.OutcomeRetried,
		reason[params]{store.OutcomeUnknown, func(p *params) { p.UserCode = fixture.Digest("no code") }, ""},
		reason[params]{store.OutcomeUnknown, func(p *params) { p.UserID = "nobody" }, ""},
		reason[params]{store.OutcomeSuspended, nil, `UPDATE "user" SET suspended_at = now()`},
		reason[params]{store.OutcomeSignedOut, nil, `UPDATE session SET ended_at = now(), expires_at = now()`},
		reason[params]{store.OutcomeExpired, nil, `UPDATE oauth_polled_request SET expires_at = now()`},
		reason[params]{store.OutcomeMismatched, nil, `UPDATE oauth_authorization SET user_id = '` + string(another) + `'`},
		reason[params]{store.OutcomeDecided, nil, `UPDATE oauth_authorization SET status = 'denied' WHERE kind = 'device'`},
		reason[params]{store.OutcomeRevoked, nil, `UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'token_revoked'`},
		reason[params]{store.OutcomeDisabled, nil, `UPDATE oauth_client SET disabled = true`},
	)
}
