package calls

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// place is where a row stands in a list, and where the page after it begins.
type place struct {
	createdAt time.Time
	id        string
}

// keyset is a list that is read page by page, from one place to the next.
type keyset struct {
	page   func(after place, size int32) ([]place, error)
	insert func(id string, createdAt time.Time)
	remove func(id string)
}

// places are those of rows.
func places[R any](rows []R, of func(R) place) []place {
	ps := make([]place, 0, len(rows))
	for _, r := range rows {
		ps = append(ps, of(r))
	}
	return ps
}

// pageByPage reads a list from its beginning, and calls between after each page.
func (w *world) pageByPage(list keyset, size int32, between func(n int, last place)) []string {
	w.Helper()
	var ids []string
	var after place
	for n := 1; ; n++ {
		rows, err := list.page(after, size)
		w.OK(err)
		if len(rows) > int(size) {
			w.Fatalf("a page of %d has %d rows", size, len(rows))
		}
		for _, r := range rows {
			ids = append(ids, r.id)
		}
		if len(rows) < int(size) {
			return ids
		}
		if n > 100 {
			w.Fatalf("in pages of %d the list has no end: %v", size, ids)
		}
		after = rows[len(rows)-1]
		if between != nil {
			between(n, after)
		}
	}
}

// isPaged holds a list, empty so far, to what pages promise. The world has one connection.
func (w *world) isPaged(list keyset) {
	w.Helper()
	if rows, err := list.page(place{}, 10); err != nil || rows == nil || len(rows) > 0 {
		w.Errorf("an empty list gives %v, %v; want an empty page", rows, err)
	}
	first := time.Date(2020, 2, 29, 23, 59, 59, 0, time.UTC)
	rows := []place{
		{first, "m"},
		{first, "k"},
		{first, "l"},
		{first, "n"}, // told apart by their ids alone
		{first.Add(time.Microsecond), "c"},
		{first.Add(-time.Microsecond), "z"},
		{first.Add(time.Hour), "b"},
		{first.Add(time.Hour), "a"},
	}
	for _, r := range rows {
		list.insert(r.id, r.createdAt)
	}
	slices.SortFunc(rows, func(a, b place) int {
		return cmp.Or(a.createdAt.Compare(b.createdAt), strings.Compare(a.id, b.id))
	})
	var want []string
	for _, r := range rows {
		want = append(want, r.id)
	}
	for _, indexes := range []string{"off", "on"} { // the order is the query's, not that of the index it happens to be read by
		w.Exec(`SELECT set_config('enable_indexscan', $1, false), set_config('enable_bitmapscan', $1, false)`, indexes)
		for size := int32(1); size <= 9; size++ {
			if got := w.pageByPage(list, size, nil); !slices.Equal(got, want) {
				w.Errorf("in pages of %d, with indexes %s, the list is %v, want %v", size, indexes, got, want)
			}
		}
	}

	// Rows come and go while somebody reads. What was there all the time is read once; what comes later than the reader
	// is, is read too; and where the row is gone at which a page ended, the next one begins all the same.
	for size := int32(1); size <= 4; size++ {
		var came []string
		got := w.pageByPage(list, size, func(n int, last place) {
			switch n {
			case 1:
				id := fmt.Sprintf("size%d", size)
				list.insert(id+"before", first.Add(-time.Hour))
				list.insert(id+"after", first.Add(2*time.Hour))
				came = append(came, id+"after")
			case 2:
				list.remove(last.id)
			}
		})
		if n := len(slices.Compact(slices.Sorted(slices.Values(got)))); n != len(got) {
			w.Errorf("in pages of %d a row comes twice: %v", size, got)
		}
		for _, id := range slices.Concat(came, want) {
			if !slices.Contains(got, id) {
				w.Errorf("in pages of %d the row %s is missing: %v", size, id, got)
			}
		}
		want = w.pageByPage(list, 100, nil)
	}
}

func TestUserIsWhatWasCreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := store.CreateUserParams{ID: store.NewUserID(), Name: "Grace Hopper", Email: new("Grace@Example.com"), EmailVerified: true, Image: new("https://example.com/g.png")}
	created, err := w.Q.CreateUser(w.Ctx, p)
	w.OK(err)
	got, err := w.Q.GetUser(w.Ctx, p.ID)
	w.OK(err)
	if got.ID != p.ID || got.Name != p.Name || *got.Email != *p.Email || !got.EmailVerified || *got.Image != *p.Image {
		t.Errorf("created %+v, got %+v", p, got)
	}
	if !got.CreatedAt.Equal(created.CreatedAt) || !got.UpdatedAt.Equal(got.CreatedAt) || time.Since(got.CreatedAt).Abs() > time.Minute {
		t.Errorf("created_at %v, updated_at %v", got.CreatedAt, got.UpdatedAt)
	}

	plain, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: "plain", Email: new("plain@example.com")})
	w.OK(err)
	if plain.EmailVerified || plain.Image != nil || plain.Name != "" {
		t.Errorf("said nothing of it, got %+v", plain)
	}
	_, err = w.Q.GetUser(w.Ctx, "nobody")
	w.None(err)
}

func TestUserIsFoundByEmailWhateverItsCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: "grace", Email: new("Grace.Hopper@Example.com")})
	w.OK(err)
	for _, email := range []string{"Grace.Hopper@Example.com", "grace.hopper@example.com", "GRACE.HOPPER@EXAMPLE.COM"} {
		u, err := w.Q.FindUserByEmail(w.Ctx, email)
		w.OK(err)
		if u.ID != "grace" || *u.Email != "Grace.Hopper@Example.com" {
			t.Errorf("%s: found %+v", email, u)
		}
	}
	for _, email := range []string{"grace_hopper@example.com", "grace.hopper@example.com ", "%", "hopper@example.com"} {
		_, err := w.Q.FindUserByEmail(w.Ctx, email)
		w.None(err)
	}
}

// Two people who register one address at the same time do not both get it, however they write it.
func TestEmailIsTakenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	for round := range 25 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		created := 0
		for i := range 8 {
			email := []byte(fmt.Sprintf("someone%d@example.com", round))
			email[i%7] -= 'a' - 'A'
			wg.Go(func() {
				_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: store.NewUserID(), Email: new(string(email))})
				mu.Lock()
				defer mu.Unlock()
				switch name := pgErrorOf(err).ConstraintName; {
				case err == nil:
					created++
				case name != string(store.ConstraintUserEmailUIdx):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if created != 1 {
			t.Fatalf("round %d: %d users have the address", round, created)
		}
	}
}

func TestUsersAreListedPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Exec(`DELETE FROM "user"`)
	w.isPaged(keyset{
		page: func(after place, size int32) ([]place, error) {
			rows, err := w.Q.ListUsers(w.Ctx, store.ListUsersParams{AfterCreatedAt: after.createdAt, AfterID: store.UserID(after.id), PageSize: size})
			return places(rows, func(u store.User) place { return place{u.CreatedAt, string(u.ID)} }), err
		},
		insert: func(id string, createdAt time.Time) {
			w.Exec(`INSERT INTO "user" (id, created_at, name, email) VALUES ($1, $2, '', $3)`, id, createdAt, id+"@example.com")
		},
		remove: func(id string) { w.Exec(`DELETE FROM "user" WHERE id = $1`, id) },
	})
}

// wantTouched fails the test unless an update has said so in updated_at, and left created_at.
func wantTouched(t *testing.T, what string, createdBefore, createdAfter, updatedBefore, updatedAfter time.Time) {
	t.Helper()
	if !createdAfter.Equal(createdBefore) {
		t.Errorf("%s moved created_at from %v to %v", what, createdBefore, createdAfter)
	}
	if !updatedAfter.After(updatedBefore) {
		t.Errorf("%s left updated_at at %v", what, updatedAfter)
	}
}

func TestUpdateUserChangesWhatIsGivenAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	before, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{
		ID: "grace", Name: "Grace", Email: new("grace@example.com"), EmailVerified: true, Image: new("https://example.com/g.png"),
	})
	w.OK(err)
	for name, c := range map[string]struct {
		change store.UpdateUserParams
		want   func(*store.User)
	}{
		"nothing":                 {store.UpdateUserParams{}, func(*store.User) {}},
		"name":                    {store.UpdateUserParams{Name: new("Hopper")}, func(u *store.User) { u.Name = "Hopper" }},
		"empty name":              {store.UpdateUserParams{Name: new("")}, func(u *store.User) { u.Name = "" }},
		"email":                   {store.UpdateUserParams{Email: new("hopper@example.com")}, func(u *store.User) { u.Email, u.EmailVerified = new("hopper@example.com"), false }},
		"email of another case":   {store.UpdateUserParams{Email: new("Grace@Example.com")}, func(u *store.User) { u.Email = new("Grace@Example.com") }},
		"the same email":          {store.UpdateUserParams{Email: new("grace@example.com")}, func(*store.User) {}},
		"verified email":          {store.UpdateUserParams{Email: new("hopper@example.com"), EmailVerified: new(true)}, func(u *store.User) { u.Email = new("hopper@example.com") }},
		"unverified":              {store.UpdateUserParams{EmailVerified: new(false)}, func(u *store.User) { u.EmailVerified = false }},
		"image":                   {store.UpdateUserParams{Image: new("https://example.com/h.png")}, func(u *store.User) { u.Image = new("https://example.com/h.png") }},
		"no email":                {store.UpdateUserParams{RemoveEmail: true}, func(u *store.User) { u.Email, u.EmailVerified = nil, false }},
		"no email, though passed": {store.UpdateUserParams{RemoveEmail: true, Email: new("x@example.com"), EmailVerified: new(true)}, func(u *store.User) { u.Email, u.EmailVerified = nil, false }},
		"no image":                {store.UpdateUserParams{RemoveImage: true}, func(u *store.User) { u.Image = nil }},
		"no image, though passed": {store.UpdateUserParams{RemoveImage: true, Image: new("x")}, func(u *store.User) { u.Image = nil }},
	} {
		w.Exec(`UPDATE "user" SET name = $2, email = $3, email_verified = $4, image = $5, updated_at = $6 WHERE id = $1`,
			before.ID, before.Name, before.Email, before.EmailVerified, before.Image, before.UpdatedAt)
		others := w.Snapshot()
		c.change.ID = before.ID
		got, err := w.Q.UpdateUser(w.Ctx, c.change)
		w.OK(err)
		wantTouched(t, name, before.CreatedAt, got.CreatedAt, before.UpdatedAt, got.UpdatedAt)
		want := before
		c.want(&want)
		if got.Name != want.Name || !equalPtr(got.Email, want.Email) || got.EmailVerified != want.EmailVerified || !equalPtr(got.Image, want.Image) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		stored, err := w.Q.GetUser(w.Ctx, before.ID)
		w.OK(err)
		if stored.Name != got.Name || !equalPtr(stored.Email, got.Email) || stored.EmailVerified != got.EmailVerified || !equalPtr(stored.Image, got.Image) {
			t.Errorf("%s: answered %+v, stored %+v", name, got, stored)
		}
		if diff := fixture.Changed(others, w.Snapshot()); !slices.Equal(diff, []string{"~user grace"}) {
			t.Errorf("%s: changed %v", name, diff)
		}
	}
	w.Unchanged(func() {
		_, err = w.Q.UpdateUser(w.Ctx, store.UpdateUserParams{ID: "nobody", Name: new("x")})
		w.None(err)
	})
}

func equalPtr[T comparable](a, b *T) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

// An address that was unverified stays so when its case changes: an update proves nothing.
func TestUpdateUserDoesNotVerifyByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, change := range []store.UpdateUserParams{
		{Name: new("x")}, {Email: new(strings.ToUpper(string(w.User) + "@example.com"))}, {Email: new("new@example.com")},
	} {
		change.ID = w.User
		u, err := w.Q.UpdateUser(w.Ctx, change)
		w.OK(err)
		if u.EmailVerified {
			t.Errorf("%+v verified the address", change)
		}
	}
}

// Two who change different fields at the same time both get their way.
func TestConcurrentUpdatesOfAUserLoseNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	for round := range 25 {
		value := fmt.Sprint("round ", round)
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i, change := range []store.UpdateUserParams{
			{ID: w.User, Name: &value}, {ID: w.User, Image: &value}, {ID: w.User, EmailVerified: new(round%2 == 0)},
		} {
			wg.Go(func() { _, errs[i] = w.Q.UpdateUser(w.Ctx, change) })
		}
		wg.Wait()
		w.OK(errors.Join(errs...))
		u, err := w.Q.GetUser(w.Ctx, w.User)
		w.OK(err)
		if u.Name != value || *u.Image != value || u.EmailVerified != (round%2 == 0) {
			t.Fatalf("%s: %+v", value, u)
		}
	}
}

func TestSuspendedUserHasNothingThatLivesAndGetsNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(withLogoutURI)
	k, another := w.Redeem(), w.NewUser()
	bound := w.Redeem(online)
	anothers := w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = another, nil })
	w.consent("", false, "openid")
	w.changesRows(func() {
		row, err := w.Q.SuspendUser(w.Ctx, w.User)
		w.OK(err)
		wantEqual(t, "row", row, store.SuspendUserRow{Outcome: store.OutcomeEnded, Sessions: 1})
	}, rowName("~", "user", w.User), sessionRow("~", w.Session), w.knownRow("~"))
	dead := []string{k.Access, k.Refresh, bound.Access, bound.Refresh}
	w.WantDead(dead...)
	w.WantLive(anothers.Access)
	w.Unchanged(func() {
		for user, want := range map[store.UserID]store.Outcome{w.User: store.OutcomeRevoked, "unknown": store.OutcomeUnknown} {
			row, err := w.Q.SuspendUser(w.Ctx, user)
			w.OK(err)
			wantEqual(t, "row", row, store.SuspendUserRow{Outcome: want})
		}
		w.want("ReinstateUser of one who isn't", w.outcome(w.Q.ReinstateUser(w.Ctx, another)), store.OutcomeRetried)
		w.want("ReinstateUser of nobody", w.outcome(w.Q.ReinstateUser(w.Ctx, "unknown")), store.OutcomeUnknown)
	})
	meanwhile := w.ForeignRefreshToken("foreign") // by another server, meanwhile
	w.ForeignAccessToken("foreign access", &meanwhile)
	w.Exec(`INSERT INTO session (id, user_id, token, expires_at) VALUES ('foreign', $1, 'foreign', now() + interval '1 hour')`, string(w.User))
	w.WantDead("foreign", "foreign access")
	w.want("ReinstateUser", w.outcome(w.Q.ReinstateUser(w.Ctx, w.User)), store.OutcomeReinstated)
	w.WantDead(append(dead, "foreign", "foreign access")...)
	wantEqual(t, "live sessions", w.liveSessions(), nil)
	_, err := w.consentIn("")
	w.None(err)
	w.Session = w.NewSession(w.User)
	w.WantLive(w.Redeem(online).Access)
}

func TestDeletedUserIsGoneAtOnceAndBlank(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(withLogoutURI)
	owned := w.NewClient(func(p *store.CreateClientParams) { p.UserID, p.GrantTypes = &w.User, []string{"client_credentials"} })
	own := w.issue("of the owned client", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.ClientID = owned })
	account := w.newAccount(w.User, "github", "")
	k := w.Redeem()
	w.changesRows(func() {
		row, err := w.Q.DeleteUser(w.Ctx, w.User)
		w.OK(err)
		wantEqual(t, "row", row, store.DeleteUserRow{Outcome: store.OutcomeDeleted, Sessions: 1})
	}, rowName("~", "user", w.User), sessionRow("~", w.Session), w.knownRow("~"), rowName("-", "account", account), rowName("~", "oauth_client", w.oauthClientID(owned)))
	w.WantDead(k.Access, k.Refresh, own)
	var epoch int64
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT grants_epoch FROM oauth_client WHERE client_id = $1`, owned).Scan(&epoch))
	wantEqual(t, "grants_epoch of the owned client", epoch, 1)
	var name string
	var email, image *string
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT name, email, image FROM "user" WHERE id = $1`, string(w.User)).Scan(&name, &email, &image))
	if name != "" || email != nil || image != nil {
		t.Errorf("the row still says %q, %v, %v", name, email, image)
	}
	w.Unchanged(func() {
		row, err := w.Q.DeleteUser(w.Ctx, w.User)
		w.OK(err)
		wantEqual(t, "row", row, store.DeleteUserRow{Outcome: store.OutcomeUnknown})
		suspended, err := w.Q.SuspendUser(w.Ctx, w.User)
		w.OK(err)
		w.want("SuspendUser", suspended.Outcome, store.OutcomeUnknown)
		w.want("ReinstateUser", w.outcome(w.Q.ReinstateUser(w.Ctx, w.User)), store.OutcomeUnknown)
		_, err = w.Q.GetUser(w.Ctx, w.User)
		w.None(err)
		_, err = w.Q.UpdateUser(w.Ctx, store.UpdateUserParams{ID: w.User, Name: new("Ada")})
		w.None(err)
	})
	w.Exec(`UPDATE "user" SET suspended_at = NULL WHERE id = $1`, w.User) // it is enough that the user is deleted
	w.Unchanged(func() {
		suspended, err := w.Q.SuspendUser(w.Ctx, w.User)
		w.OK(err)
		w.want("SuspendUser", suspended.Outcome, store.OutcomeUnknown)
	})
	w.want("EnableClient", w.outcome(w.Q.EnableClient(w.Ctx, owned)), store.OutcomeDisabled)
	w.WantDead(own)
	_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: "ada2", Email: new(string(w.User) + "@example.com")}) // the address is free
	w.OK(err)
}

// userRow is a user's row, deleted or not.
func (w *world) userRow(id store.UserID) store.User {
	w.Helper()
	rows, err := w.Pool.Query(w.Ctx, `SELECT * FROM "user" WHERE id = $1`, id)
	w.OK(err)
	u, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[store.User])
	w.OK(err)
	return u
}

// What the endings of a user, and the end of a suspension, write to the row: each raises both epochs, and so ends what reads at the same time.
func TestEndingsOfAUserRaiseBothEpochs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	whole := store.CreateUserParams{Name: "Ada", EmailVerified: true, Image: new("https://example.com/a.png")}
	for _, calls := range [][]string{{"SuspendUser", "ReinstateUser", "DeleteUser"}, {"SuspendUser", "DeleteUser"}} {
		p := whole
		p.ID = store.NewUserID()
		p.Email = new(string(p.ID) + "@example.com")
		_, err := w.Q.CreateUser(w.Ctx, p)
		w.OK(err)
		for _, call := range calls {
			w.want("RevokeUserAuthorizationsByClient", w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{
				UserID: p.ID, ClientID: w.Client,
			})), store.OutcomeEnded)
			before := w.userRow(p.ID)
			if len(before.EndedGrants) < 5 {
				t.Fatalf("before %s no grants have ended: %s", call, before.EndedGrants)
			}
			want := before
			switch call {
			case "SuspendUser":
				w.suspend(p.ID)
			case "ReinstateUser":
				w.want(call, w.outcome(w.Q.ReinstateUser(w.Ctx, p.ID)), store.OutcomeReinstated)
			default:
				w.deleteUser(p.ID)
			}
			got := w.userRow(p.ID)
			want.UpdatedAt = got.UpdatedAt
			want.GrantsEpoch, want.SessionsEpoch, want.EndedGrants = before.GrantsEpoch+1, before.SessionsEpoch+1, json.RawMessage(`{}`)
			switch call {
			case "SuspendUser":
				want.SuspendedAt = &got.UpdatedAt
			case "ReinstateUser":
				want.SuspendedAt = nil
			default: // who was suspended stays so from then on
				want.SuspendedAt, want.DeletedAt = cmp.Or(before.SuspendedAt, &got.UpdatedAt), &got.UpdatedAt
				want.Name, want.Email, want.EmailVerified, want.Image = "", nil, false, nil
			}
			wantEqual(t, fmt.Sprint(calls, ", ", call), got, want)
		}
	}
}

// An address that isn't there is not verified, whatever another server has written beside it.
func TestUpdateUserVerifiesNoAddressThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Exec(`UPDATE "user" SET email = NULL, email_verified = true`)
	u, err := w.Q.UpdateUser(w.Ctx, store.UpdateUserParams{ID: w.User, Name: new("Ada")})
	w.OK(err)
	wantEqual(t, "email, verified", []any{u.Email, u.EmailVerified}, []any{(*string)(nil), false})
}

func TestDeletedUsersAreNotListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	other := w.NewUser()
	w.deleteUser(other)
	all, err := w.Q.ListUsers(w.Ctx, store.ListUsersParams{PageSize: 10})
	w.OK(err)
	var ids []store.UserID
	for _, u := range all {
		ids = append(ids, u.ID)
	}
	if !slices.Contains(ids, w.User) || slices.Contains(ids, other) {
		t.Errorf("%v are listed, want %s and not %s", ids, w.User, other)
	}
}

// A user who is erased while a statement waits for the row is as unknown as one who never was: no error, and nothing is written.
func TestUserWhoIsErasedMeanwhileIsUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	user := w.NewUser()
	tx := w.otherSession()
	_, err := tx.Exec(w.Ctx, `DELETE FROM "user" WHERE id = $1`, user)
	w.OK(err)
	outcomes, errs := make([]store.Outcome, 4), make([]error, 4)
	var wg sync.WaitGroup
	for i, call := range []func() (store.Outcome, error){
		func() (store.Outcome, error) {
			r, err := w.Q.CreateSession(w.Ctx, store.CreateSessionParams{ID: "s", UserID: user, Token: fixture.Digest("s"), Lifetime: time.Hour})
			return r.Outcome, err
		},
		func() (store.Outcome, error) {
			return w.Q.CreatePasskey(w.Ctx, store.CreatePasskeyParams{ID: "p", UserID: user, PublicKey: "x"})
		},
		func() (store.Outcome, error) {
			return w.Q.CreateTOTP(w.Ctx, store.CreateTOTPParams{ID: "t", UserID: user, Secret: "x"})
		},
		func() (store.Outcome, error) {
			r, err := w.Q.ReplaceRecoveryCodes(w.Ctx, store.ReplaceRecoveryCodesParams{UserID: user, Digests: token.Digests{fixture.Digest("r")}})
			return r.Outcome, err
		},
	} {
		wg.Go(func() { outcomes[i], errs[i] = call() })
	}
	w.Until("all wait", func() bool { return w.activity(tx, `wait_event_type = 'Lock'`) == 4 })
	w.OK(tx.Commit(w.Ctx))
	wg.Wait()
	w.OK(errors.Join(errs...))
	unknown := store.OutcomeUnknown
	wantEqual(t, "outcomes", outcomes, []store.Outcome{unknown, unknown, unknown, unknown})
}

// A client that is stored while its user is being deleted waits, and is stored as disabled. It waits for nobody else, and one that is handed
// over doesn't wait: the deletion locks the user and then the clients.
func TestClientStoredWhileItsUserIsDeletedIsDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	user, other := w.NewUser(), w.NewUser()
	w.deleteUser(w.NewUser())
	client := w.NewClient()
	tx := w.otherSession()
	_, err := recorded(tx, w.diary).DeleteUser(w.Ctx, user)
	w.OK(err)
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`SET LOCAL lock_timeout = '5s'`)
		w := w.on(q)
		c, err := q.GetClient(w.Ctx, w.NewClient(func(p *store.CreateClientParams) { p.UserID = &other }))
		w.OK(err)
		wantEqual(t, "disabled, of another user", c.Disabled, false)
		w.disable(c.ClientID)
		c, err = q.GetClient(w.Ctx, c.ClientID)
		w.OK(err)
		wantEqual(t, "disabled by DisableClient", c.Disabled, true)
		_, err = q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: client, UserID: &user})
		w.OK(err)
	})
	stored := make(chan store.ClientID, 1)
	go func() {
		stored <- w.NewClient(func(p *store.CreateClientParams) { p.UserID = &user })
	}()
	w.Until("the client waits", func() bool { return w.activity(tx, "a.wait_event_type = 'Lock'") == 1 })
	w.OK(tx.Commit(w.Ctx))
	c, err := w.Q.GetClient(w.Ctx, <-stored)
	w.OK(err)
	wantEqual(t, "disabled", c.Disabled, true)
}

// A suspension, its end and a deletion raise both counters of the user and empty the map, whoever writes the row. Nothing else does.
func TestSuspensionByAnUpdateEndsAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	const epochs = `SELECT u.grants_epoch AS a, u.sessions_epoch AS b, u.ended_grants AS c FROM "user" AS u WHERE u.id = $1`
	for _, c := range []struct{ before, sql, want string }{
		{"", `name = 'Grace', updated_at = now()`, `3 5 {"x": {"": 1}}`},
		{"", `suspended_at = now()`, `4 6 {}`},
		{"", `suspended_at = NULL, deleted_at = NULL`, `3 5 {"x": {"": 1}}`},
		{"", `deleted_at = now()`, `4 6 {}`},
		{"", `suspended_at = now(), grants_epoch = 9, sessions_epoch = 8`, `9 8 {}`},
		{`suspended_at = now()`, `suspended_at = now() - interval '1 day'`, `3 5 {"x": {"": 1}}`},
		{`suspended_at = now()`, `suspended_at = NULL`, `4 6 {}`},
		{`suspended_at = now()`, `deleted_at = now()`, `4 6 {}`},
		{`deleted_at = now()`, `deleted_at = NULL`, `4 6 {}`},
	} {
		tx, err := w.Pool.Begin(w.Ctx)
		w.OK(err)
		set := func(sql string) {
			_, err := tx.Exec(w.Ctx, `UPDATE "user" SET `+sql+` WHERE id = $1`, string(w.User))
			w.OK(err)
		}
		if c.before != "" {
			set(c.before)
		}
		set(`grants_epoch = 3, sessions_epoch = 5, ended_grants = '{"x": {"": 1}}'`)
		set(c.sql)
		wantEqual(t, c.before+"; "+c.sql, w.scanned(tx, epochs, string(w.User)), c.want)
		w.OK(tx.Rollback(w.Ctx))
	}
}
