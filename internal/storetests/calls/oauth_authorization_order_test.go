package calls

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// obstacle is why a call refuses: something about the rows, or about what it is passed.
type obstacle[P any] struct {
	sql  string // {id}, {code}, {client}, {user}, {session} and {other} (a user) are the world's
	set  func(*P)
	want store.Outcome
}

// obstaclesInOrder is refusesInOrder for obstacles.
func obstaclesInOrder[P any](
	w *world, rows map[string]string, params func() P, call func(*store.Queries, P) (store.Outcome, error), done store.Outcome, obstacles []obstacle[P],
) {
	w.Helper()
	of := replacerOf(rows)
	reasons := make([]reason[P], len(obstacles))
	for i, o := range obstacles {
		reasons[i] = reason[P]{o.want, o.set, of.Replace(o.sql)}
	}
	refusesInOrder(w, params(), call, done, reasons...)
}

// replacerOf puts what names stand for into SQL.
func replacerOf(names map[string]string, more ...string) *strings.Replacer {
	for name, value := range names {
		more = append(more, "{"+name+"}", "'"+value+"'")
	}
	return strings.NewReplacer(more...)
}

const (
	noRedirect   = `UPDATE oauth_client SET redirect_uris = '{https://new.example/}' WHERE client_id = {client}`
	noGrantType  = `UPDATE oauth_client SET grant_types = '{client_credentials}' WHERE client_id = {client}`
	noScope      = `UPDATE oauth_client SET scopes = '{}' WHERE client_id = {client}`
	noResource   = `UPDATE oauth_client SET resources = '{}' WHERE client_id = {client}`
	noDetails    = `UPDATE oauth_client SET authorization_details_types = '{}' WHERE client_id = {client}`
	isDisabled   = `UPDATE oauth_client SET disabled = true WHERE client_id = {client}`
	clientGone   = `UPDATE oauth_client SET disabled = true, deleted_at = now() WHERE client_id = {client}`
	grantsEnded  = `UPDATE oauth_client SET grants_epoch = grants_epoch + 1 WHERE client_id = {client}`
	userGone     = `UPDATE "user" SET deleted_at = now() WHERE id = {user}`
	isSuspended  = `UPDATE "user" SET suspended_at = now() WHERE id = {user}`
	hasExpired   = `UPDATE session SET expires_at = now() WHERE id = {session}`
	isRevoked    = `UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'authorization_revoked' WHERE id = {id}`
	isRedeemed   = `UPDATE oauth_authorization SET redeemed_at = now(), redeemed_as = 'another' WHERE id = {id}`
	hasLapsed    = `UPDATE oauth_authorization SET expires_at = now(), code_expires_at = CASE WHEN code IS NOT NULL THEN now() END WHERE id = {id}`
	isDenied     = `UPDATE oauth_authorization SET status = 'denied', code = NULL WHERE id = {id}`
	isPending    = `UPDATE oauth_authorization SET status = 'pending', code = NULL WHERE id = {id}`
	ofAnother    = `UPDATE oauth_authorization SET kind = 'device', user_id = {other} WHERE id = {id}`
	twoDetails   = `[{"type": "pay"}, {"type": "fly"}]`
	otherDetails = `[{"type": "swim"}]`
)

// namesOf are the names that an obstacle's SQL uses.
func (w *world) namesOf(id store.AuthorizationID, other store.UserID) map[string]string {
	return map[string]string{
		"id": string(id), "client": string(w.Client), "user": string(w.User), "session": string(w.Session), "other": string(other),
	}
}

// lost is what a client has lost since it asked.
func lost[P any]() []obstacle[P] {
	return []obstacle[P]{
		{sql: noRedirect, want: store.OutcomeRedirectURIMismatched},
		{sql: noGrantType, want: store.OutcomeUnauthorizedClient},
		{sql: noScope, want: store.OutcomeInvalidScope},
		{sql: noResource, want: store.OutcomeInvalidTarget},
		{sql: noDetails, want: store.OutcomeInvalidAuthorizationDetails},
	}
}

// detailed asks for resources and details, and its approval grants them.
func detailed(p *store.CreateAuthorizationParams) {
	p.Resources = fixture.Resources
	details(twoDetails, "pay", "fly")(p)
}

func approvesDetails(p *store.ApproveAuthorizationParams) {
	p.AuthorizationDetails = json.RawMessage(twoDetails)
}

func TestApproveAuthorizationRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	another, third := w.NewUser(), w.NewUser()
	anothers := w.NewSession(another)
	elsewhere := w.NewSession(w.User)
	id, approved := w.pending(detailed), w.pending(detailed)
	w.approve(approved, store.OutcomeApproved, approvesDetails)
	type params = store.ApproveAuthorizationParams
	call := func(q *store.Queries, p params) (store.Outcome, error) {
		row, err := q.ApproveAuthorization(w.Ctx, p)
		return row.Outcome, err
	}
	of := func(id store.AuthorizationID) func() params {
		return func() params { p := w.approveParams(id); approvesDetails(&p); return p }
	}
	unknown := obstacle[params]{set: func(p *params) { p.ID = "unknown" }, want: store.OutcomeUnknown}
	mismatched := obstacle[params]{sql: ofAnother, want: store.OutcomeMismatched}
	obstaclesInOrder(w, w.namesOf(id, another), of(id), call, store.OutcomeApproved, append([]obstacle[params]{
		unknown, mismatched,
		{sql: isDenied, want: store.OutcomeDecided},
		{sql: isRevoked, want: store.OutcomeRevoked},
		{sql: hasLapsed, want: store.OutcomeExpired},
		{sql: isDisabled, want: store.OutcomeDisabled},
		{set: func(p *params) { p.UserID = "unknown" }, want: store.OutcomeUnknown},
		{sql: userGone, want: store.OutcomeUnknown},
		{sql: isSuspended, want: store.OutcomeSuspended},
		{set: func(p *params) { p.SessionID = &anothers }, want: store.OutcomeSignedOut},
		{sql: hasExpired, want: store.OutcomeSignedOut},
		{set: func(p *params) { p.GrantedScopes = append(p.GrantedScopes, "calendar") }, want: store.OutcomeInvalidScope},
		{set: func(p *params) { p.AuthorizationDetails = json.RawMessage(otherDetails) }, want: store.OutcomeInvalidAuthorizationDetails},
	}, lost[params]()...))
	// the second click
	obstaclesInOrder(w, w.namesOf(approved, another), of(approved), call, store.OutcomeRetried, append([]obstacle[params]{
		unknown, mismatched,
		{sql: isRedeemed, want: store.OutcomeDecided},
		{sql: hasLapsed, want: store.OutcomeDecided},
		{set: func(p *params) { p.UserID = third }, want: store.OutcomeDecided},
		{set: func(p *params) { p.SessionID = &elsewhere }, want: store.OutcomeDecided},
		{sql: isDisabled, want: store.OutcomeDisabled},
		{sql: isRevoked, want: store.OutcomeRevoked},
		{sql: grantsEnded, want: store.OutcomeRevoked},
		{sql: isSuspended, want: store.OutcomeRevoked},
	}, lost[params]()...))
}

func TestDenyAuthorizationRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	another := w.NewUser()
	id := w.pending()
	type params = store.DenyAuthorizationParams
	obstaclesInOrder(w, w.namesOf(id, another), func() params { return params{ID: id, UserID: &w.User} },
		func(q *store.Queries, p params) (store.Outcome, error) {
			row, err := q.DenyAuthorization(w.Ctx, p)
			return row.Outcome, err
		}, store.OutcomeDenied, []obstacle[params]{
			{set: func(p *params) { p.ID = "unknown" }, want: store.OutcomeUnknown},
			{sql: ofAnother, want: store.OutcomeMismatched},
			{sql: isDenied, want: store.OutcomeRetried},
			{sql: `UPDATE oauth_authorization SET status = 'approved', user_id = {user}, granted_scopes = '{}', user_epoch = 0, client_epoch = 0, pair_epoch = 0
				WHERE id = {id}`, want: store.OutcomeDecided},
			{sql: isRevoked, want: store.OutcomeRevoked},
			{sql: hasLapsed, want: store.OutcomeExpired},
		})
}

func TestIssueAuthorizationCodeRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.pending(detailed)
	w.approve(id, store.OutcomeApproved, approvesDetails, func(p *store.ApproveAuthorizationParams) { p.GrantedScopes = []string{"openid"} })
	type params = store.IssueAuthorizationCodeParams
	obstaclesInOrder(w, w.namesOf(id, ""), func() params {
		return params{ID: id, Code: fixture.Digest("new"), CodeLifetime: time.Minute, DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources}
	}, func(q *store.Queries, p params) (store.Outcome, error) {
		row, err := q.IssueAuthorizationCode(w.Ctx, p)
		return row.Outcome, err
	}, store.OutcomeIssued, append([]obstacle[params]{
		{set: func(p *params) { p.ID = "unknown" }, want: store.OutcomeUnknown},
		{sql: `UPDATE oauth_authorization SET kind = 'device' WHERE id = {id}`, want: store.OutcomeUnknown},
		{sql: isDenied, want: store.OutcomeDenied},
		{sql: isRedeemed, want: store.OutcomeDecided},
		{sql: isRevoked, want: store.OutcomeRevoked},
		{sql: hasLapsed, want: store.OutcomeExpired},
		{sql: isPending, want: store.OutcomeUndecided},
		{sql: isDisabled, want: store.OutcomeDisabled},
		{sql: grantsEnded, want: store.OutcomeRevoked},
		{sql: hasExpired, want: store.OutcomeRevoked},
	}, lost[params]()...))
}

// judged is what the three calls that judge a request refuse, in order.
func judged[P any](change func(*P, func(*store.CreateAuthorizationParams))) []obstacle[P] {
	set := func(f func(*store.CreateAuthorizationParams)) func(*P) { return func(p *P) { change(p, f) } }
	return []obstacle[P]{
		{set: set(func(p *store.CreateAuthorizationParams) { p.ClientID = "unknown" }), want: store.OutcomeUnknown},
		{sql: clientGone, want: store.OutcomeUnknown},
		{sql: isDisabled, want: store.OutcomeDisabled},
		{sql: noRedirect, want: store.OutcomeRedirectURIMismatched},
		{sql: `UPDATE oauth_client SET require_pushed_authorization_requests = true WHERE client_id = {client}`, want: store.OutcomeRequestMustBePushed},
		{sql: `UPDATE oauth_client SET response_types = '{token}' WHERE client_id = {client}`, want: store.OutcomeUnsupportedResponseType},
		{sql: noGrantType, want: store.OutcomeUnauthorizedClient},
		{set: set(func(p *store.CreateAuthorizationParams) { p.CodeChallenge, p.CodeChallengeMethod = nil, nil }), want: store.OutcomePKCERequired},
		{set: set(func(p *store.CreateAuthorizationParams) {
			p.CodeChallenge, p.CodeChallengeMethod = &fixture.Challenge, new("plain")
		}), want: store.OutcomePKCEMethodRefused},
		{set: set(func(p *store.CreateAuthorizationParams) { p.Scopes = append(slices.Clone(p.Scopes), "admin") }), want: store.OutcomeInvalidScope},
		{sql: noScope, want: store.OutcomeInvalidScope},
		{set: set(func(p *store.CreateAuthorizationParams) {
			p.Resources = append(slices.Clone(p.Resources), "https://bank.example")
		}), want: store.OutcomeInvalidTarget},
		{sql: noResource, want: store.OutcomeInvalidTarget},
		{sql: noDetails, want: store.OutcomeInvalidAuthorizationDetails},
	}
}

// saysWhat fails the test unless an answer says where it goes, and which scopes and resources are refused.
func (w *world) saysWhat(q *store.Queries, p store.CreateAuthorizationParams, got store.CheckAuthorizationRequestRow) {
	w.Helper()
	want := store.CheckAuthorizationRequestRow{Outcome: got.Outcome}
	beyond := func(asked, registered, byDefault []string) []string {
		allowed := registered
		if allowed == nil {
			allowed = byDefault
		}
		return slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return slices.Contains(allowed, s) })
	}
	switch got.Outcome {
	case store.OutcomeUnknown, store.OutcomeDisabled, store.OutcomeRedirectURIMismatched:
	default:
		want.RedirectURI = p.RedirectURI
		c, err := q.GetClient(w.Ctx, p.ClientID)
		w.OK(err)
		switch got.Outcome {
		case store.OutcomeInvalidScope:
			want.RefusedScopes = beyond(p.Scopes, c.Scopes, p.DefaultScopes)
		case store.OutcomeInvalidTarget:
			want.RefusedResources = beyond(p.Resources, c.Resources, p.DefaultResources)
		}
	}
	wantEqual(w, "the answer", got, want)
}

func TestRequestIsRefusedInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	another := w.NewUser()
	anothers := w.NewSession(another)
	id, _ := w.Grant()
	request := func() store.CreateAuthorizationParams { p := w.RequestParams(); detailed(&p); return p }

	type create = store.CreateAuthorizationParams
	obstaclesInOrder(w, w.namesOf(id, another), request, func(q *store.Queries, p create) (store.Outcome, error) {
		row, err := q.CreateAuthorization(w.Ctx, p)
		w.OK(err)
		w.saysWhat(q, p, store.CheckAuthorizationRequestRow{
			Outcome: row.Outcome, RedirectURI: row.RedirectURI, RefusedScopes: row.RefusedScopes, RefusedResources: row.RefusedResources,
		})
		return row.Outcome, nil
	}, store.OutcomeCreated, append(
		judged(func(p *create, f func(*create)) { f(p) }),
		obstacle[create]{set: func(p *create) { p.ID = id }, want: store.OutcomeTaken},
	))

	type check = store.CheckAuthorizationRequestParams
	obstaclesInOrder(w, w.namesOf(id, another), func() check { return checkOf(request()) }, func(q *store.Queries, p check) (store.Outcome, error) {
		row, err := q.CheckAuthorizationRequest(w.Ctx, p)
		w.OK(err)
		w.saysWhat(q, create{
			ClientID: p.ClientID, RedirectURI: p.RedirectURI, Scopes: p.Scopes, DefaultScopes: p.DefaultScopes, Resources: p.Resources, DefaultResources: p.DefaultResources,
		}, row)
		return row.Outcome, nil
	}, store.OutcomeAccepted, judged(func(p *check, f func(*create)) {
		r := request()
		r.ClientID, r.CodeChallenge, r.CodeChallengeMethod, r.Scopes, r.Resources = p.ClientID, p.CodeChallenge, p.CodeChallengeMethod, p.Scopes, p.Resources
		f(&r)
		*p = checkOf(r)
	}))

	type grant = store.GrantAuthorizationParams
	obstaclesInOrder(w, w.namesOf(id, another), func() grant {
		p := w.GrantParams("another code")
		p.AuthorizationDetails, p.DefaultAuthorizationDetailsTypes = json.RawMessage(twoDetails), []string{"pay", "fly"}
		p.GrantedAuthorizationDetails = p.AuthorizationDetails
		return p
	}, func(q *store.Queries, p grant) (store.Outcome, error) { return q.GrantAuthorization(w.Ctx, p) }, store.OutcomeGranted, append(
		append([]obstacle[grant]{{set: func(p *grant) { p.UserID = "unknown" }, want: store.OutcomeUnknown}}, judged(func(p *grant, f func(*create)) {
			r := create{ClientID: p.ClientID, CodeChallenge: p.CodeChallenge, CodeChallengeMethod: p.CodeChallengeMethod, Scopes: p.Scopes, Resources: p.Resources}
			f(&r)
			p.ClientID, p.CodeChallenge, p.CodeChallengeMethod, p.Scopes, p.Resources = r.ClientID, r.CodeChallenge, r.CodeChallengeMethod, r.Scopes, r.Resources
		})...),
		obstacle[grant]{sql: userGone, want: store.OutcomeUnknown},
		obstacle[grant]{sql: isSuspended, want: store.OutcomeSuspended},
		obstacle[grant]{set: func(p *grant) { p.SessionID = &anothers }, want: store.OutcomeSignedOut},
		obstacle[grant]{sql: hasExpired, want: store.OutcomeSignedOut},
		obstacle[grant]{set: func(p *grant) { p.GrantedScopes = []string{"profile"} }, want: store.OutcomeInvalidScope},
		obstacle[grant]{
			set:  func(p *grant) { p.GrantedAuthorizationDetails = json.RawMessage(otherDetails) },
			want: store.OutcomeInvalidAuthorizationDetails,
		},
		obstacle[grant]{set: func(p *grant) { p.ID = id }, want: store.OutcomeTaken},
	))
}

func checkOf(p store.CreateAuthorizationParams) store.CheckAuthorizationRequestParams {
	return store.CheckAuthorizationRequestParams{
		ClientID: p.ClientID, RedirectURI: p.RedirectURI, ResponseType: p.ResponseType, CodeChallenge: p.CodeChallenge,
		CodeChallengeMethod: p.CodeChallengeMethod, Scopes: p.Scopes, DefaultScopes: p.DefaultScopes, Resources: p.Resources,
		DefaultResources: p.DefaultResources, AuthorizationDetails: p.AuthorizationDetails,
		DefaultAuthorizationDetailsTypes: p.DefaultAuthorizationDetailsTypes,
	}
}

func TestRedemptionIsRefusedInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.TokenEndpointAuthMethod = new("client_secret_basic") })
	other := w.NewClient()
	key := &token.Confirmation{JKT: "key"}
	id, code := w.Grant(func(p *store.GrantAuthorizationParams) {
		p.AuthorizationDetails, p.DefaultAuthorizationDetailsTypes = json.RawMessage(twoDetails), []string{"pay", "fly"}
		p.GrantedAuthorizationDetails, p.Confirmation = p.AuthorizationDetails, key
	})
	w.approve(w.pending(), store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) { p.Code = nil })
	type params = store.RedeemAuthorizationCodeParams
	valid := w.RedeemParams(code)
	valid.Confirmation, valid.Proof, valid.ProofExpiresAt = key, new(fixture.Digest("proof")), new(time.Now().Add(time.Hour))
	valid.ClientAuthMethod, valid.ClientSecret = "client_secret_post", fixture.Digest(fixture.Secret)
	before := []obstacle[params]{
		{set: func(p *params) { p.ClientSecret = fixture.Digest("guess") }, want: store.OutcomeUnauthenticated},
		{set: func(p *params) { p.Code = fixture.Digest("no such code") }, want: store.OutcomeUnknown},
		{set: func(p *params) { p.Code = "" }, want: store.OutcomeUnknown}, // that of a grant without a code
		{set: func(p *params) { p.ClientID = other }, want: store.OutcomeMismatched},
		{set: func(p *params) { p.CodeChallenge = nil }, want: store.OutcomeMismatched},
		{set: func(p *params) { p.RedirectURI = new("https://client.example/") }, want: store.OutcomeMismatched},
	}
	known := `INSERT INTO oauth_proof (id, expires_at) VALUES ('` + string(fixture.Digest("proof")) + `', now() + interval '1 hour')`
	keys := []obstacle[params]{
		{set: func(p *params) { p.Confirmation = &token.Confirmation{JKT: "other"} }, want: store.OutcomeMismatched},
		{sql: `UPDATE oauth_client SET tls_client_certificate_bound_access_tokens = true WHERE client_id = {client}`, want: store.OutcomeMismatched},
		{sql: isDisabled, want: store.OutcomeDisabled},
		{sql: isRevoked, want: store.OutcomeRevoked},
		{sql: grantsEnded, want: store.OutcomeRevoked},
	}
	asked := []obstacle[params]{
		{set: func(p *params) { p.Resources = []string{"https://bank.example"} }, want: store.OutcomeInvalidTarget},
		{set: func(p *params) { p.AuthorizationDetails = json.RawMessage(otherDetails) }, want: store.OutcomeInvalidAuthorizationDetails},
	}
	call := func(q *store.Queries, p params) (store.Outcome, error) {
		row, err := q.RedeemAuthorizationCode(w.Ctx, p)
		return row.Outcome, err
	}
	all := append(append([]obstacle[params]{}, before...), obstacle[params]{sql: known, want: store.OutcomeProofReplayed},
		obstacle[params]{sql: isRedeemed, want: store.OutcomeReplayed})
	all = append(append(all, keys...), obstacle[params]{sql: hasLapsed, want: store.OutcomeExpired})
	all = append(append(all, asked...), lost[params]()...)
	obstaclesInOrder(w, w.namesOf(id, ""), func() params { return valid }, call, store.OutcomeRedeemed, all)

	// A repeated call: its proof is known, its code may have expired, and what the client has lost since doesn't count. The family of a client
	// that is not public is bound to no key.
	row, err := w.Q.RedeemAuthorizationCode(w.Ctx, valid)
	w.OK(err)
	w.Want("RedeemAuthorizationCode", row.Outcome, store.OutcomeRedeemed)
	w.lapse(id)
	all = append(append(append([]obstacle[params]{}, before...), keys[1:]...), asked...)
	for _, l := range lost[params]() {
		l.want = store.OutcomeRetried
		all = append(all, l)
	}
	obstaclesInOrder(w, w.namesOf(id, ""), func() params { return valid }, call, store.OutcomeRetried, all)
}

func TestIssueGrantRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	another := w.NewUser()
	anothers := w.NewSession(another)
	type params = store.IssueGrantParams
	obstaclesInOrder(w, w.namesOf("", another), func() params {
		p := w.issueGrantParams("x")
		p.GrantType, p.Resources, p.AuthorizationDetails = "refresh_token", bothResources, json.RawMessage(`[{"type": "pay"}]`)
		return p
	}, func(q *store.Queries, p params) (store.Outcome, error) {
		row, err := q.IssueGrant(w.Ctx, p)
		return row.Outcome, err
	}, store.OutcomeIssued, []obstacle[params]{
		{set: func(p *params) { p.ClientID = "unknown" }, want: store.OutcomeUnknown},
		{set: func(p *params) { p.UserID = "unknown" }, want: store.OutcomeUnknown},
		{sql: isDisabled, want: store.OutcomeDisabled},
		{sql: userGone, want: store.OutcomeUnknown},
		{sql: isSuspended, want: store.OutcomeSuspended},
		{set: func(p *params) { p.SessionID = &anothers }, want: store.OutcomeSignedOut},
		{sql: hasExpired, want: store.OutcomeSignedOut},
		{set: func(p *params) { p.GrantType = "implicit" }, want: store.OutcomeUnauthorizedClient},
		{sql: `UPDATE oauth_client SET dpop_bound_access_tokens = true WHERE client_id = {client}`, want: store.OutcomeMismatched},
		{sql: noScope, want: store.OutcomeInvalidScope},
		{sql: noResource, want: store.OutcomeInvalidTarget},
		{sql: noDetails, want: store.OutcomeInvalidAuthorizationDetails},
	})
}
