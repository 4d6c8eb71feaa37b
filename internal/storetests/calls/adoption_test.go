package calls

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// holding locks rows in a transaction of its own, until release is called.
func (w *world) holding(sql string, args ...any) (release func()) {
	w.Helper()
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	_, err = tx.Exec(w.Ctx, sql, args...)
	w.OK(err)
	return func() { w.Helper(); w.OK(tx.Commit(w.Ctx)) }
}

// untilWaiting returns once n connections of the world wait for a lock, or one of the calls has returned.
func (w *world) untilWaiting(n int, calls ...<-chan error) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		var waiting int
		w.OK(w.Pool.QueryRow(w.Ctx, `
			SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
		if waiting == n || slices.ContainsFunc(calls, func(c <-chan error) bool { return len(c) > 0 }) {
			return
		}
	}
	w.Fatalf("there are never %d connections that wait for a lock", n)
}

// meanwhile starts a call; the channel gives its error, and none if it says that there is no such thing.
func meanwhile(call func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		err := call()
		if errors.Is(err, pgx.ErrNoRows) {
			err = nil
		}
		done <- err
	}()
	return done
}

// spentElsewhere marks a refresh token as another server does when it rotates it: without a successor.
func (w *world) spentElsewhere(raw string) {
	w.Helper()
	w.Exec(`UPDATE oauth_refresh_token SET revoked = now() WHERE token = $1`, string(fixture.Digest(raw)))
}

func TestForeignTokensIntrospectLikeAnyOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	refreshID := w.ForeignRefreshToken("foreign")
	accessID := w.ForeignAccessToken("foreign access", &refreshID)
	user, err := w.Q.GetUser(w.Ctx, w.User)
	w.OK(err)
	refresh, access := w.refreshTokenOf("foreign"), w.accessTokenOf("foreign access")
	gotRefresh, err := w.Q.IntrospectRefreshToken(w.Ctx, fixture.Digest("foreign"))
	w.OK(err)
	wantEqual(t, "IntrospectRefreshToken", gotRefresh, store.IntrospectRefreshTokenRow{
		ID: refreshID, ClientID: w.Client, UserID: w.User, SessionID: &w.Session, Scopes: []string{"openid", "offline_access"},
		IssuedAt: refresh.CreatedAt, ExpiresAt: refresh.ExpiresAt, Username: user.Email,
	})
	gotAccess, err := w.Q.IntrospectAccessToken(w.Ctx, fixture.Digest("foreign access"))
	w.OK(err)
	wantEqual(t, "IntrospectAccessToken", gotAccess, store.IntrospectAccessTokenRow{
		ID: accessID, ClientID: w.Client, UserID: &w.User, SessionID: &w.Session, RefreshID: &refreshID,
		Scopes: []string{"openid", "offline_access"}, IssuedAt: access.CreatedAt, ExpiresAt: access.ExpiresAt, Username: &user.Email,
	})

	authenticated := refresh.CreatedAt.Add(-time.Minute)
	w.Exec(`UPDATE oauth_refresh_token SET auth_time = $2 WHERE id = $1`, string(refreshID), authenticated)
	gotRefresh, err = w.Q.IntrospectRefreshToken(w.Ctx, fixture.Digest("foreign"))
	w.OK(err)
	wantAt(t, "auth_time", gotRefresh.AuthTime, authenticated, 0)

	w.spentElsewhere("foreign")
	w.WantDead("foreign")
	w.WantLive("foreign access")
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() WHERE id = $1`, string(accessID))
	w.WantDead("foreign access")
}

func TestForeignRefreshTokenIsRevokedWithTheAccessTokensThatCameWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	refreshID := w.ForeignRefreshToken("foreign")
	one, two := w.ForeignAccessToken("one", &refreshID), w.ForeignAccessToken("two", &refreshID)
	w.ForeignAccessToken("lone", nil)
	sibling := w.ForeignRefreshToken("sibling")
	w.ForeignAccessToken("the sibling's", &sibling)
	row := &store.RevokeTokenRow{Kind: store.TokenKindRefreshToken, RefreshTokenID: &refreshID, ClientID: w.Client, UserID: &w.User}
	w.changesRows(func() {
		wantEqual(t, "row", w.revokeRaw("foreign", w.Client), row)
	}, refreshRow("~", refreshID), accessRow("~", one), accessRow("~", two))
	w.WantDead("foreign", "one", "two")
	w.WantLive("lone", "sibling", "the sibling's")
	w.Unchanged(func() { wantEqual(t, "row of the second call", w.revokeRaw("foreign", w.Client), nil) })

	w.spentElsewhere("sibling")
	w.changesRows(func() { // a spent one too ends what still lives of it, and says so
		if w.revokeRaw("sibling", w.Client) == nil {
			t.Error("nothing was ended by the spent token")
		}
	}, accessRow("~", w.accessTokenOf("the sibling's").ID))
	w.WantDead("the sibling's")
	w.Unchanged(func() { wantEqual(t, "row", w.revokeRaw("sibling", w.Client), nil) })

	lone := w.accessTokenOf("lone").ID
	w.changesRows(func() {
		wantEqual(t, "row of an access token", w.revokeRaw("lone", w.Client), &store.RevokeTokenRow{
			Kind: store.TokenKindAccessToken, AccessTokenID: &lone, ClientID: w.Client, UserID: &w.User,
		})
	}, accessRow("~", lone))
}

func TestFirstRotationAdoptsAForeignToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	refreshID := w.ForeignRefreshToken("foreign", "email")
	w.Exec(`UPDATE oauth_refresh_token SET reference_id = 'acme', created_at = now() - interval '1 day' WHERE id = $1`, string(refreshID))
	accessID := w.ForeignAccessToken("foreign access", &refreshID)
	w.ForeignAccessToken("lone", nil)
	sibling := w.ForeignRefreshToken("sibling")
	before := w.refreshTokenOf("foreign")

	p, accessRaw := w.RotateParams("foreign")
	p.Scopes, p.FamilyLifetime = []string{"email"}, new(30*24*time.Hour)
	var row store.RotateRefreshTokenRow
	snapshot := w.Snapshot()
	row, err := w.Q.RotateRefreshToken(w.Ctx, p)
	w.OK(err)
	wantEqual(t, "outcome", row.Outcome, store.RotationOutcomeRotated)
	if row.AuthorizationID == nil || !strings.HasPrefix(string(*row.AuthorizationID), "azn_") || len(*row.AuthorizationID) != 36 {
		t.Fatalf("the family's identifier is %v", row.AuthorizationID)
	}
	family := *row.AuthorizationID
	want := []string{
		authorizationRow("+", family), refreshRow("~", refreshID), refreshRow("+", p.SuccessorID),
		accessRow("~", accessID), accessRow("+", p.AccessTokenID),
	}
	slices.Sort(want)
	wantEqual(t, "changed rows", fixture.Changed(snapshot, w.Snapshot()), want)

	a, spent, successor, access := w.authorizationOf(family), w.refreshTokenOf("foreign"), w.refreshTokenOf("foreign+"), w.accessTokenOf(accessRaw)
	now := access.CreatedAt
	wantAt(t, "max_expires_at", a.MaxExpiresAt, now, 30*24*time.Hour)
	wantEqual(t, "the family", a, store.OAuthAuthorization{
		ID: family, CreatedAt: now, UpdatedAt: now, ClientID: w.Client, Status: store.AuthorizationStatusApproved,
		Scopes: before.Scopes, ExpiresAt: successor.ExpiresAt, UserID: &w.User, SessionID: &w.Session, ReferenceID: before.ReferenceID,
		GrantedScopes: before.Scopes, DecidedAt: &before.CreatedAt, AdoptedAt: &now, MaxExpiresAt: a.MaxExpiresAt,
		CurrentRefreshToken: &p.Successor,
	})
	before.AuthorizationID, before.Revoked, before.UpdatedAt = &family, &now, now
	before.Successor, before.SuccessorID = &p.Successor, &p.SuccessorID
	wantEqual(t, "the spent token", spent, before)
	wantEqual(t, "family of the successor", successor.AuthorizationID, &family)
	wantEqual(t, "scopes of the successor", successor.Scopes, before.Scopes)
	wantEqual(t, "tenant of the successor", successor.ReferenceID, before.ReferenceID)
	wantEqual(t, "scopes of the access token", access.Scopes, []string{"email"})
	wantEqual(t, "family of the access token", access.AuthorizationID, &family)
	wantEqual(t, "family of the old access token", w.accessTokenOf("foreign access").AuthorizationID, &family)
	w.WantLive("foreign access", accessRaw, "foreign+", "lone", "sibling")

	retry, again := w.Rotate("foreign", store.RotationOutcomeReplayed)
	wantEqual(t, "successor of the retry", retry.Successor, row.Successor)
	wantEqual(t, "family of the retry", retry.AuthorizationID, &family)
	w.Rotate("foreign+", store.RotationOutcomeRotated)
	w.changesRows(func() { w.Rotate("foreign", store.RotationOutcomeReused) }, authorizationRow("~", family))
	w.WantDead("foreign access", accessRaw, again, "foreign++") // what came with it before it was adopted, too
	w.WantLive("lone", "sibling")                               // and nothing else, as it has a family by now
	wantEqual(t, "family of the sibling", w.refreshTokenOf("sibling").AuthorizationID, nil)
	if w.revokeRaw("sibling", w.Client) == nil || w.refreshTokenOf("sibling").ID != sibling {
		t.Error("the sibling can't be revoked any more")
	}
}

func TestAdoptionAtRotationLastsAsLongAsTheAccessTokensThatComeAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct{ expires, want string }{
		{"now() + interval '1 day'", "1 day"}, {"NULL", ""}, {"now() + interval '1 minute'", "1 hour"},
	} {
		raw := fixture.Unique("foreign")
		id := w.ForeignRefreshToken(raw)
		access := w.ForeignAccessToken(raw+" access", &id)
		w.Exec(`UPDATE oauth_access_token SET expires_at = `+c.expires+` WHERE id = $1`, string(access))
		row, _ := w.Rotate(raw, store.RotationOutcomeRotated)
		var good bool
		w.OK(w.Pool.QueryRow(w.Ctx, `
			SELECT CASE WHEN $2 = '' THEN a.expires_at IS NULL
				ELSE a.expires_at BETWEEN now() + $2::interval - interval '1 minute' AND now() + $2::interval END
			FROM oauth_authorization a WHERE a.id = $1`, string(*row.AuthorizationID), c.want).Scan(&good))
		if !good {
			t.Errorf("an access token that expires %s: the family expires at %v", c.expires, w.authorizationOf(*row.AuthorizationID).ExpiresAt)
		}
	}
}

func TestRotationOfAForeignTokenThatCannotBeChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.ForeignRefreshToken("foreign")
	w.ForeignRefreshToken("expired")
	w.expireRefreshToken("expired")
	bound := w.ForeignRefreshToken("bound")
	w.Exec(`UPDATE oauth_refresh_token SET confirmation = '{"jkt": "thumbprint"}' WHERE id = $1`, string(bound))
	other := w.NewClient()
	w.Unchanged(func() {
		w.Rotate("expired", store.RotationOutcomeExpired)
		w.Rotate("foreign", store.RotationOutcomeExceeded, func(p *store.RotateRefreshTokenParams) { p.Scopes = []string{"admin"} })
		w.Rotate("foreign", store.RotationOutcomeExceeded, func(p *store.RotateRefreshTokenParams) { p.Resources = []string{"https://api.example"} })
		w.Rotate("bound", store.RotationOutcomeMismatched)
		p, _ := w.RotateParams("foreign")
		p.ClientID = other
		_, err := w.Q.RotateRefreshToken(w.Ctx, p)
		w.None(err)
	})
	row, _ := w.Rotate("bound", store.RotationOutcomeRotated, func(p *store.RotateRefreshTokenParams) {
		p.Confirmation = &token.Confirmation{JKT: "thumbprint"}
	})
	wantEqual(t, "what binds the family", w.authorizationOf(*row.AuthorizationID).Confirmation, &token.Confirmation{JKT: "thumbprint"})
	w.disable(w.Client)
	w.Unchanged(func() { w.Rotate("foreign", store.RotationOutcomeDisabled) })
}

func TestReuseOfAForeignTokenEndsAllSuchOfItsClientAndUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client, other, user, session := w.Client, w.NewClient(), w.User, w.Session

	spent := w.ForeignRefreshToken("spent")
	spentAccess := w.ForeignAccessToken("spent access", &spent)
	w.spentElsewhere("spent")
	stray := w.ForeignRefreshToken("stray")
	strayAccess := w.ForeignAccessToken("stray access", &stray)
	lone := w.ForeignAccessToken("lone", nil)
	w.ForeignRefreshToken("adopted")
	adoption, adoptedAccess := w.Rotate("adopted", store.RotationOutcomeRotated)
	own := w.Redeem() // which our own server granted: no other server has ever handled it

	w.Client = other
	w.ForeignRefreshToken("other client's")
	w.ForeignRefreshToken("other client's adopted")
	w.Rotate("other client's adopted", store.RotationOutcomeRotated)
	w.Client, w.User = client, w.NewUser()
	w.Session = w.NewSession(w.User)
	w.ForeignRefreshToken("other user's")
	w.ForeignRefreshToken("other user's adopted")
	w.Rotate("other user's adopted", store.RotationOutcomeRotated)
	w.User, w.Session = user, session
	machine := w.issue("machine", store.IssuanceOutcomeIssued)

	w.changesRows(
		func() {
			row, _ := w.Rotate("spent", store.RotationOutcomeReused)
			wantEqual(t, "authorization", row.AuthorizationID, nil)
			wantEqual(t, "successor", row.Successor, nil)
		},
		refreshRow("~", stray), accessRow("~", spentAccess), accessRow("~", strayAccess), accessRow("~", lone),
		authorizationRow("~", *adoption.AuthorizationID),
	)
	wantEqual(t, "revoked_reason", w.authorizationOf(*adoption.AuthorizationID).RevokedReason, new(store.RevocationReasonRefreshTokenReused))
	w.WantDead("spent", "spent access", "stray", "stray access", "lone", adoptedAccess, "adopted+")
	w.WantLive(own.Access, own.Refresh, "other client's", "other client's adopted+", "other user's", "other user's adopted+", machine)
	w.Unchanged(func() { w.Rotate("spent", store.RotationOutcomeReused) })
}

func TestReuseOfATokenThatAnotherServerSpentEndsItsFamilyAndItsSuccessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k, untouched := w.Redeem(), w.Redeem()
	w.spentElsewhere(k.Refresh) // the other server knows nothing of families: its successor has none
	successor := w.ForeignRefreshToken("successor")
	w.WantLive("successor")
	w.changesRows(func() {
		row, _ := w.Rotate(k.Refresh, store.RotationOutcomeReused)
		wantEqual(t, "authorization", row.AuthorizationID, &k.Authorization)
	}, authorizationRow("~", k.Authorization), refreshRow("~", successor))
	w.WantDead(k.Access, k.Refresh, "successor")
	w.WantLive(untouched.Access, untouched.Refresh)
}

func TestAdoptRefreshTokensInBatchesUntilNoneIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	own := w.Redeem()
	untouched := w.Snapshot()
	var all []string
	for i := range 5 {
		raw := fmt.Sprintf("foreign %d", i)
		id := w.ForeignRefreshToken(raw, "email")
		w.ForeignAccessToken(raw+" access", &id)
		all = append(all, raw, raw+" access")
	}
	w.Exec(`UPDATE oauth_refresh_token SET session_id = NULL, expires_at = NULL, auth_time = '2026-01-02T03:04:05Z', reference_id = 'acme',
		resources = '{https://api.example}', confirmation = '{"jkt": "thumbprint"}' WHERE token = $1`, string(fixture.Digest("foreign 0")))
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() + interval '1 day' WHERE token = $1`, string(fixture.Digest("foreign 1 access")))
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE token = $1`, string(fixture.Digest("foreign 2 access")))
	w.ForeignRefreshToken("spent")
	w.spentElsewhere("spent")
	w.ForeignRefreshToken("expired")
	w.expireRefreshToken("expired")
	w.ForeignAccessToken("lone", nil)
	left := w.Snapshot()

	page, adopted, calls := store.AdoptRefreshTokensParams{BatchSize: 2}, int64(0), 0
	for ; ; calls++ {
		row, err := w.Q.AdoptRefreshTokens(w.Ctx, page)
		w.OK(err)
		if row.LastID == nil {
			wantEqual(t, "adopted by the last call", row.Adopted, 0)
			break
		}
		if *row.LastID <= page.AfterID || row.Adopted > 2 {
			t.Fatalf("after %q: %d adopted, up to %q", page.AfterID, row.Adopted, *row.LastID)
		}
		adopted, page.AfterID = adopted+row.Adopted, *row.LastID
	}
	wantEqual(t, "adopted", adopted, 5)
	wantEqual(t, "batches of two for 7 tokens without a family", calls, 4)
	w.Unchanged(func() {
		for _, again := range []store.AdoptRefreshTokensParams{page, {BatchSize: 100}} {
			row, err := w.Q.AdoptRefreshTokens(w.Ctx, again)
			w.OK(err)
			wantEqual(t, "adopted", row.Adopted, 0)
		}
	})
	after, counts := w.Snapshot(), map[string]int{}
	for _, row := range fixture.Changed(left, after) {
		counts[strings.Fields(row)[0]]++
	}
	wantEqual(t, "changed rows", counts, map[string]int{"+oauth_authorization": 5, "~oauth_refresh_token": 5, "~oauth_access_token": 5})
	for row := range untouched {
		if untouched[row] != after[row] {
			t.Errorf("%s has changed", row)
		}
	}

	for i := range 5 {
		raw := fmt.Sprintf("foreign %d", i)
		r, access := w.refreshTokenOf(raw), w.accessTokenOf(raw+" access")
		a := w.authorizationOf(*r.AuthorizationID)
		expires := r.ExpiresAt
		switch i {
		case 1:
			expires = access.ExpiresAt
		case 2:
			expires = nil
		}
		wantEqual(t, raw, a, store.OAuthAuthorization{
			ID: a.ID, CreatedAt: a.CreatedAt, UpdatedAt: a.CreatedAt, ClientID: w.Client, Status: store.AuthorizationStatusApproved,
			Scopes: r.Scopes, Resources: r.Resources, ExpiresAt: expires, UserID: &w.User, SessionID: r.SessionID,
			ReferenceID: r.ReferenceID, GrantedScopes: r.Scopes, AuthTime: r.AuthTime, DecidedAt: &r.CreatedAt, AdoptedAt: &a.CreatedAt,
			Confirmation: r.Confirmation, CurrentRefreshToken: &r.Token,
		})
		wantEqual(t, "family of its access token", access.AuthorizationID, &a.ID)
	}
	w.WantLive(append(all, own.Access, own.Refresh, "lone")...)
	w.Rotate("foreign 3", store.RotationOutcomeRotated)
	w.Rotate("foreign 3", store.RotationOutcomeReplayed)
	w.Rotate("foreign 3+", store.RotationOutcomeRotated)
	w.Rotate("foreign 3", store.RotationOutcomeReused)
	w.WantDead("foreign 3 access", "foreign 3++")
	w.WantLive("foreign 4", "foreign 4 access")
}

func TestAdoptRefreshTokensLeavesWhatACallHolds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, held string }{
		{"the token", `SELECT FROM oauth_refresh_token WHERE token = $1 FOR NO KEY UPDATE`},
		{"its user", `SELECT FROM "user" u WHERE u.id = (SELECT r.user_id FROM oauth_refresh_token r WHERE r.token = $1) FOR UPDATE`},
		{"its client", `SELECT FROM oauth_client c WHERE c.client_id = (SELECT r.client_id FROM oauth_refresh_token r WHERE r.token = $1) FOR UPDATE`},
		{"its session", `SELECT FROM session s WHERE s.id = (SELECT r.session_id FROM oauth_refresh_token r WHERE r.token = $1) FOR UPDATE`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			w.ForeignRefreshToken("held")
			w.User = w.NewUser()
			w.Session, w.Client = w.NewSession(w.User), w.NewClient()
			w.ForeignRefreshToken("free")
			adopt := func(want int64) {
				t.Helper()
				row, err := w.Q.AdoptRefreshTokens(w.Ctx, store.AdoptRefreshTokensParams{BatchSize: 10})
				w.OK(err)
				wantEqual(t, "adopted", row.Adopted, want)
			}
			cancel := w.hurry()
			defer cancel()
			release := w.holding(c.held, string(fixture.Digest("held")))
			adopt(1)
			wantEqual(t, "family of the token that is held", w.refreshTokenOf("held").AuthorizationID, nil)
			adopt(0)
			release()
			adopt(1)
		})
	}
}
