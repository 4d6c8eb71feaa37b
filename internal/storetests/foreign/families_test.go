package foreign

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func (w *world) collect() {
	w.Helper()
	if _, err := db.NewCollector(w.q, db.CollectorOptions{}).Collect(w.ctx); err != nil {
		w.Error(err)
	}
}

func (w *world) sameFamily(a, b row) bool { w.Helper(); return w.family(a) == w.family(b) }

func TestATokenIsOfTheFamilyOfTheRefreshTokenThatItNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	r := w.refresh(w.row(offline))
	named := of(r)
	named.code = string(token.DigestOf("another code"))
	if !w.sameFamily(w.access(named), r) {
		t.Error("the refresh token that is named doesn't decide")
	}
	for what, change := range map[string]func(*row){
		"client": func(a *row) { a.client = w.newClient() },
		"user":   func(a *row) { a.user, a.session = w.newUser(), "" },
	} {
		a := of(r)
		change(&a)
		if w.sameFamily(w.access(a), r) {
			t.Errorf("a token of another %s is of the family", what)
		}
		w.wantLive(a)
	}
}

// The identifier that another server knows a grant by goes on to its tokens. Where there is none, it is that of the family.
func TestRotationCarriesTheCodeOrElseTheFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	another := w.refresh(w.row(offline)).next() // the code of another client's grant, so the family has another id
	another.client = w.newClient()
	without := w.row(offline)
	without.code = ""
	for what, r := range map[string]row{"a code": w.refresh(another), "no code": w.refresh(without)} {
		outcome, access, successor := w.rotate(r)
		if outcome != store.OutcomeRotated {
			t.Fatal(outcome)
		}
		if what == "a code" && w.family(r) == r.code {
			t.Fatal("the family has the id of another client's")
		}
		want := cmp.Or(r.code, w.family(r))
		for table, id := range map[string]string{"oauth_refresh_token": successor.id, "oauth_access_token": access.id} {
			if got := value[string](w, `SELECT authorization_code_id FROM `+table+` WHERE id = $1`, id); got != want {
				t.Errorf("%s: a new row of %s carries %s, want %s", what, table, got, want)
			}
		}
	}
}

func TestATokenIsOfTheFamilyOfItsCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	r := w.refresh(w.row(offline))
	if w.family(r) != r.code {
		t.Errorf("the family is %s, not the code %s", w.family(r), r.code)
	}
	lone := r.next()
	if !w.sameFamily(w.refresh(r.next()), r) || !w.sameFamily(w.access(lone), r) {
		t.Error("tokens of one code are of several families")
	}
	outcome, access, successor := w.rotate(r)
	if outcome != store.OutcomeRotated {
		t.Fatal(outcome)
	}
	successor.code = value[string](w, `SELECT authorization_code_id FROM oauth_refresh_token WHERE id = $1`, successor.id)
	if !w.spend(successor) { // rotated here, then there: the code is carried along
		t.Fatal("not spent")
	}
	next := w.refresh(successor.next())
	if !w.sameFamily(next, r) {
		t.Error("the code was not carried through our rotation")
	}
	w.wantLive(lone, access, next)
}

func TestATakenCodeGivesAFamilyOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	r := w.refresh(w.row(offline))
	seen := map[string]string{w.family(r): "the first"}
	for _, what := range []string{"another client", "another user", "both"} {
		taken := r.next()
		if what != "another user" {
			taken.client = w.newClient()
		}
		if what != "another client" {
			taken.user, taken.session = w.newUser(), ""
		}
		one, two := w.refresh(taken), w.refresh(taken.next())
		if !w.sameFamily(one, two) || !w.sameFamily(w.access(of(one)), one) {
			t.Errorf("%s: its tokens are of several families", what)
		}
		if before, is := seen[w.family(one)]; is {
			t.Errorf("%s has the family of %s", what, before)
		}
		seen[w.family(one)] = what
		w.wantLive(one, two)
		if outcome := w.revokeToken(one); outcome != store.OutcomeEnded {
			t.Error(outcome)
		}
		w.wantDead(one, two)
		w.wantLive(r)
	}
}

func TestATokenWithoutAUsableCodeGetsAFamilyOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, code := range []string{"", strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("ß", 200)} {
		r := w.row(offline)
		r.code = code
		one, two := w.refresh(r), w.refresh(r.next())
		if same := w.sameFamily(one, two); same != (code != "") {
			t.Errorf("a code of %d bytes: of the same family: %v", len(code), same)
		}
		w.wantLive(one, two, w.access(of(one)))
	}
}

// No code that the other server has can make a token of a grant that a user was asked about and has not given.
func TestACodeThatNamesAPendingRequestGrantsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, status := range []string{"pending", "denied"} {
		id := store.NewAuthorizationID()
		w.exec(`INSERT INTO oauth_authorization (id, client_id, scopes, status, user_id) VALUES ($1, $2, '{openid}', $3::authorization_status, CASE $3 WHEN 'denied' THEN $4 END)`,
			string(id), string(w.client), status, string(w.user))
		r := w.row(offline)
		r.code = string(id)
		w.refresh(r)
		if status == "denied" {
			w.wantDead(r)
		}
		if got := value[string](w, `SELECT status::text FROM oauth_authorization WHERE id = $1`, string(id)); got != status {
			t.Errorf("the request is %s now", got)
		}
	}
}

func TestManyTokensOfOneCodeAtOnceAreOfOneFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	for range 20 {
		first := w.row(offline)
		rows := []row{first, first.next(), first.next(), first.next()}
		var all sync.WaitGroup
		for i, r := range rows {
			all.Go(func() {
				insert := insertRefresh
				if i%2 == 1 {
					insert = insertAccess
				}
				if err := insert(w.ctx, w.pool, r); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, r := range rows {
			if w.family(r) != first.code {
				t.Fatalf("a family of its own: %s", w.family(r))
			}
		}
		w.wantLive(rows...)
	}
}

func TestANewFamilyOfASessionThatIsOverIsStoredAsRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	stranger := w.newUser()
	for name, over := range map[string]func() store.SessionID{
		"ended": func() store.SessionID {
			_, err := w.q.EndSession(w.ctx, w.session)
			w.ok(err)
			return w.session
		},
		"ended with the others": func() store.SessionID {
			s := w.newSession(w.user, time.Now().Add(time.Hour))
			w.exec(`UPDATE "user" SET sessions_epoch = sessions_epoch + 1 WHERE id = $1`, string(w.user))
			return s
		},
		"expired":        func() store.SessionID { return w.newSession(w.user, time.Now().Add(-time.Second)) },
		"another user's": func() store.SessionID { return w.newSession(stranger, time.Now().Add(time.Hour)) },
	} {
		for _, scopes := range [][]string{offline, online} {
			w.anew()
			r := w.row(scopes)
			r.session = over()
			a := r.next()
			a.code = string(token.DigestOf(unique()))
			w.refresh(r)
			w.access(a)
			w.wantDead(r, a)
			for _, x := range []row{r, a} {
				reason := value[*string](w, `SELECT revoked_reason::text FROM oauth_authorization WHERE id = $1`, w.family(x))
				if reason == nil || *reason != "session_ended" {
					t.Errorf("%s, %v: revoked for %v", name, scopes, reason)
				}
			}
			if w.spend(r) {
				t.Errorf("%s, %v: spent", name, scopes)
			}
		}
	}
	gone := w.row(offline)
	gone.session = store.SessionID(unique())
	if err := insertRefresh(w.ctx, w.pool, gone); !violates(err, "oauth_refresh_token_session_id_fkey") {
		t.Errorf("a session that never was: %v", err)
	}
	without := w.row(online)
	without.session = ""
	w.refresh(without)
	w.wantLive(without)
}

func TestInfiniteTimestampsMeanNever(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct {
		expires string
		live    bool
	}{{"infinity", true}, {"-infinity", false}} {
		r := w.row(offline)
		r.expires = c.expires
		a := of(r)
		w.refresh(r)
		w.access(a)
		own := w.row(online)
		own.user, own.session, own.code, own.expires = "", "", "", c.expires
		w.access(own)
		for _, x := range []row{r, a, own} {
			if w.live(x.raw) != c.live {
				t.Errorf("%s: live: %v", c.expires, !c.live)
			}
		}
		if n := value[int](w, `
			SELECT count(*)::integer
			FROM (SELECT id, expires_at FROM oauth_refresh_token UNION ALL SELECT id, expires_at FROM oauth_access_token) AS x
			WHERE x.id = ANY ($1) AND (x.expires_at IS NULL) = $2`, []string{r.id, a.id, own.id}, c.live); n != 3 {
			t.Errorf("%s: %d of 3 are stored as NULL or as past", c.expires, n)
		}
		s := w.newSession(w.user, c.expires)
		got, err := w.q.GetSession(w.ctx, s) // can be read, which infinity can't
		w.ok(err)
		if got.ExpiresAt.After(time.Now()) != c.live {
			t.Errorf("a session until %s expires at %s", c.expires, got.ExpiresAt)
		}
	}
}

func TestATokenOfTheClientItselfEndsWithTheClientsGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	own := func() row {
		r := w.row(online)
		r.user, r.session, r.code = "", "", ""
		return w.access(r)
	}
	before := own()
	w.wantLive(before)
	_, err := w.q.RevokeClientAuthorizations(w.ctx, w.client)
	w.ok(err)
	after := own()
	w.wantDead(before)
	w.wantLive(after)
	_, err = w.q.DisableClient(w.ctx, w.client)
	w.ok(err)
	w.wantDead(after)
	_, err = w.q.EnableClient(w.ctx, w.client)
	w.ok(err)
	w.wantLive(after)
}

func TestAnExpiredTokenIsNotSpentByAnotherServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	r := w.row(offline)
	r.expires = time.Now().Add(-time.Second)
	if w.spend(w.refresh(r)) {
		t.Error("spent")
	}
	never := w.row(offline)
	never.expires = nil
	if !w.spend(w.refresh(never)) {
		t.Error("a token that never expires can't be spent")
	}
}

func TestATokenSpentThereThatComesBackEndsAllOfItsClientAndUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	spent := w.refresh(w.row(offline))
	access := w.access(of(spent))
	if !w.spend(spent) {
		t.Fatal("not spent")
	}
	next, other, tenant := w.refresh(spent.next()), w.refresh(w.row(offline)), w.row(offline)
	tenant.tenant = "acme"
	w.refresh(tenant)
	elsewhere, somebody := w.row(offline), w.row(offline)
	elsewhere.client = w.newClient()
	somebody.user, somebody.session = w.newUser(), ""
	w.refresh(elsewhere)
	w.refresh(somebody)
	if outcome, _, _ := w.rotate(spent); outcome != store.OutcomeReplayed {
		t.Error(outcome)
	}
	w.wantDead(spent, access, next, other, tenant)
	w.wantLive(elsewhere, somebody)
	for _, r := range []row{next, other, tenant} {
		if w.spend(r) {
			t.Error("spent")
		}
	}
	w.wantLive(w.refresh(w.row(offline))) // what is granted afterwards
}

func TestASessionOfASuspendedOrDeletedUserHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	ended := func(id store.SessionID) bool {
		return value[bool](w, `SELECT ended_at IS NOT NULL AND expires_at <= now() FROM session WHERE id = $1`, string(id))
	}
	if ended(w.session) {
		t.Error("the session of anybody has ended")
	}
	_, err := w.q.SuspendUser(w.ctx, w.user)
	w.ok(err)
	meanwhile := w.newSession(w.user, time.Now().Add(time.Hour))
	granted := w.row(offline)
	granted.session = ""
	w.refresh(granted)
	if !ended(w.session) || !ended(meanwhile) {
		t.Error("a suspended user is signed in")
	}
	_, err = w.q.ReinstateUser(w.ctx, w.user)
	w.ok(err)
	if !ended(w.session) || !ended(meanwhile) {
		t.Error("a session came back")
	}
	w.wantDead(granted) // what the other server issued to a suspended user doesn't come to life
	if ended(w.newSession(w.user, time.Now().Add(time.Hour))) {
		t.Error("a reinstated user can't sign in")
	}
	_, err = w.q.DeleteUser(w.ctx, w.user)
	w.ok(err)
	if !ended(w.newSession(w.user, time.Now().Add(time.Hour))) {
		t.Error("a deleted user is signed in")
	}
}

func TestWhatAnotherServerReadsOfADeletedClientAndUserIsTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	owner := w.newUser()
	_, err := w.q.CreateAccount(w.ctx, store.CreateAccountParams{ID: store.NewAccountID(), UserID: owner, ProviderID: "credential", AccountID: string(owner)})
	w.ok(err)
	owned, deleted := w.newClient(), w.newClient()
	w.exec(`UPDATE oauth_client SET user_id = $2 WHERE client_id = $1`, string(owned), string(owner))
	_, err = w.q.DeleteClient(w.ctx, deleted)
	w.ok(err)
	_, err = w.q.DeleteUser(w.ctx, owner)
	w.ok(err)
	disabled := func(c store.ClientID) bool {
		return value[bool](w, `SELECT disabled FROM oauth_client WHERE client_id = $1`, string(c))
	}
	if !disabled(owned) || !disabled(deleted) {
		t.Error("not disabled")
	}
	_, err = w.pool.Exec(w.ctx, `UPDATE oauth_client SET disabled = false WHERE client_id = $1`, string(deleted))
	if !violates(err, "oauth_client_deleted_is_disabled") {
		t.Errorf("a deleted client is enabled by another server: %v", err)
	}
	w.exec(`UPDATE oauth_client SET disabled = false WHERE client_id = $1`, string(owned))
	if !disabled(owned) {
		t.Error("a deleted user's client is enabled by another server")
	}
	if n := value[int](w, `SELECT count(*)::integer FROM account WHERE user_id = $1`, string(owner)); n > 0 {
		t.Errorf("%d accounts are left", n)
	}
	_, err = w.pool.Exec(w.ctx, `UPDATE session SET ended_at = now(), expires_at = now() + interval '1 day' WHERE id = $1`, string(w.session))
	if !violates(err, "session_ended_has_expired") {
		t.Errorf("a session that has ended lasts: %v", err)
	}
}

func TestAConsentOfAnotherServerCountsUntilAnEnding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	covered := func() bool {
		w.Helper()
		c, err := w.q.CheckConsent(w.ctx, store.CheckConsentParams{UserID: w.user, ClientID: w.client, Scopes: []string{"openid"}})
		w.ok(err)
		return c.Covered
	}
	id := unique()
	w.exec(`insert into "oauth_consent" ("id", "created_at", "updated_at", "client_id", "user_id", "reference_id", "scopes") values ($1, now(), now(), $2, $3, default, '{openid}')`,
		id, string(w.client), string(w.user))
	if !covered() {
		t.Error("doesn't count")
	}
	_, err := w.q.RevokeUserAuthorizations(w.ctx, w.user)
	w.ok(err)
	if covered() {
		t.Error("counts after the ending")
	}
	w.exec(`update "oauth_consent" set "updated_at" = now() where "id" = $1`, id)
	if covered() {
		t.Error("counts again, without anybody having been asked")
	}
	w.exec(`update "oauth_consent" set "scopes" = '{openid}', "updated_at" = now() where "id" = $1`, id)
	if !covered() {
		t.Error("doesn't count, though the user has agreed anew")
	}
}

// A grant that has been rotated there many times, and here, stays one family, which one revocation ends.
func TestAFamilyKeepsTogetherHoweverItIsRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	r := w.refresh(w.row(offline))
	all := []row{r, w.access(of(r))}
	current := r
	for i := range 6 {
		if i%2 == 0 {
			if !w.spend(current) {
				t.Fatal("not spent")
			}
			current = w.refresh(current.next())
			all = append(all, current, w.access(of(current)))
			continue
		}
		outcome, access, successor := w.rotate(current)
		if outcome != store.OutcomeRotated {
			t.Fatal(outcome)
		}
		successor.code = value[string](w, `SELECT authorization_code_id FROM oauth_refresh_token WHERE id = $1`, successor.id)
		current, all = successor, append(all, access, successor)
	}
	families := map[string]int{}
	for _, x := range all {
		families[w.family(x)]++
	}
	if len(families) != 1 {
		t.Errorf("families: %v", families)
	}
	w.wantLive(current)
	if outcome := w.revokeToken(current); outcome != store.OutcomeEnded {
		t.Error(outcome)
	}
	w.wantDead(all...)
}

// Deleted by hand and made again under the same identifier, as another server does.
// Another server refreshes for a client that is registered for codes and leaves refresh_token out, which is the default of RFC 7591. What it
// has granted is refreshed here too; what is granted here asks for the registration.
func TestWhatAnotherServerGrantedIsRefreshedForAClientOfCodesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	registered := func(grantTypes ...string) {
		w.exec(`UPDATE oauth_client SET grant_types = $2 WHERE client_id = $1`, string(w.client), grantTypes)
	}
	r := w.refresh(w.row(offline))
	registered("urn:ietf:params:oauth:grant-type:device_code")
	if outcome, _, _ := w.rotate(r); outcome != store.OutcomeUnauthorizedClient {
		t.Errorf("a client without codes: %s", outcome)
	}
	registered("authorization_code")
	outcome, access, successor := w.rotate(r)
	if outcome != store.OutcomeRotated {
		t.Fatalf("a client of codes: %s", outcome)
	}
	w.wantLive(access, successor)
	if outcome, _, _ = w.rotate(successor); outcome != store.OutcomeRotated {
		t.Errorf("once more: %s", outcome)
	}

	ours := w.refresh(w.row(offline))
	w.exec(`UPDATE oauth_authorization SET kind = 'code' WHERE id = $1`, w.family(ours))
	if outcome, _, _ = w.rotate(ours); outcome != store.OutcomeUnauthorizedClient {
		t.Errorf("a family of ours: %s", outcome)
	}
}

func TestRotationKeepsTheClaimsThatTheRequestNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	r := w.refresh(w.row(offline))
	w.exec(`UPDATE oauth_refresh_token SET requested_user_info_claims = '{email,name}' WHERE id = $1`, r.id)
	_, access, successor := w.rotate(r)
	_, retried, _ := w.rotate(r)
	for _, id := range []string{access.id, retried.id, successor.id} {
		kept := value[[]string](w, `
			SELECT requested_user_info_claims FROM oauth_refresh_token WHERE id = $1
			UNION ALL
			SELECT requested_user_info_claims FROM oauth_access_token WHERE id = $1`, id)
		if !slices.Equal(kept, []string{"email", "name"}) {
			t.Errorf("kept %q", kept)
		}
	}
}

func TestNothingComesBackWithARecreatedUserOrClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for what, again := range map[string]func(){
		"user": func() {
			w.exec(`DELETE FROM "user" WHERE id = $1`, string(w.user))
			_, err := w.q.CreateUser(w.ctx, store.CreateUserParams{ID: w.user, Name: "Ada"})
			w.ok(err)
		},
		"client": func() {
			w.exec(`DELETE FROM oauth_client WHERE client_id = $1`, string(w.client))
			_, err := w.q.CreateClient(w.ctx, store.CreateClientParams{
				ID: store.NewOAuthClientID(), ClientID: w.client, RedirectURIs: []string{"https://client.example/callback"}, Public: new(true),
			})
			w.ok(err)
		},
	} {
		w.anew()
		r := w.refresh(w.row(offline))
		a := w.access(of(r))
		if !w.spend(r) {
			t.Fatal("not spent")
		}
		again()
		w.wantDead(r, a)
		if n := value[int](w, `SELECT count(*)::integer FROM oauth_authorization WHERE id = $1`, r.code); n > 0 {
			t.Errorf("%s: the family is still there", what)
		}
	}
}
