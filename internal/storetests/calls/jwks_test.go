package calls

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// newKey makes a key of an algorithm, at an age and, if it is to expire, with what is left to it.
func (w *world) newKey(q *store.Queries, exec func(string, ...any), id, alg, age, left string) {
	w.Helper()
	_, err := q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: store.SigningKeyID(id), PublicKey: "{}", PrivateKey: "ciphertext", Alg: &alg})
	w.OK(err)
	exec(`UPDATE jwks SET created_at = now() - $2::text::interval WHERE id = $1`, id, age)
	if left != "" {
		exec(`UPDATE jwks SET expires_at = now() + $2::text::interval WHERE id = $1`, id, left)
	}
}

func TestSigningKeyIsWhatWasCreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := store.CreateSigningKeyParams{
		ID: store.NewSigningKeyID(), PublicKey: `{"kty":"OKP"}`, PrivateKey: "ciphertext", Alg: new("EdDSA"), Curve: new("Ed25519"), Lifetime: new(time.Hour),
	}
	created, err := w.Q.CreateSigningKey(w.Ctx, p)
	w.OK(err)
	got, err := w.Q.GetSigningKey(w.Ctx, p.ID)
	w.OK(err)
	sameFields(t, created, got)
	if got.ID != p.ID || got.PublicKey != p.PublicKey || got.PrivateKey != p.PrivateKey || *got.Alg != "EdDSA" || *got.Curve != "Ed25519" ||
		!got.ExpiresAt.Equal(got.CreatedAt.Add(time.Hour)) {
		t.Errorf("created %+v, got %+v", p, got)
	}
	plain, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: "plain", PublicKey: "{}", PrivateKey: "x"})
	w.OK(err)
	if plain.Alg != nil || plain.Curve != nil || plain.ExpiresAt != nil {
		t.Errorf("said nothing of it, got %+v", plain)
	}
	_, err = w.Q.GetSigningKey(w.Ctx, "none")
	w.None(err)
}

func TestSigningKeyMayLastForNeverButNotForNoTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, bad := range []time.Duration{0, -time.Hour, time.Second - time.Microsecond} {
		w.Unchanged(func() {
			_, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: "short", PublicKey: "{}", PrivateKey: "x", Lifetime: &bad})
			if e := pgErrorOf(err); e.Code != "22023" || !strings.HasPrefix(e.Message, "Lifetime ") {
				t.Errorf("a lifetime of %s: %v", bad, err)
			}
		})
	}
	endless, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: "endless", PublicKey: "{}", PrivateKey: "x", Alg: new("EdDSA"), Lifetime: new(store.Never)})
	w.OK(err)
	if endless.ExpiresAt != nil {
		t.Errorf("a key that lasts for ever expires at %s", endless.ExpiresAt)
	}
	current, err := w.Q.FindCurrentSigningKey(w.Ctx, store.FindCurrentSigningKeyParams{Alg: "EdDSA"})
	w.OK(err)
	wantEqual(t, "the key to sign with", current.ID, endless.ID)
}

func TestPublishedKeysAreThoseThatHaveNotExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	if rows, err := w.Q.ListSigningKeys(w.Ctx); err != nil || rows == nil || len(rows) > 0 {
		t.Errorf("without keys: %v, %v", rows, err)
	}
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		w.newKey(q, exec, "old", "RS256", "3 days", "")
		w.newKey(q, exec, "retired", "ES256", "2 days", "1 microsecond")
		w.newKey(q, exec, "over", "RS256", "1 day", "0")
		w.newKey(q, exec, "long over", "RS256", "4 days", "-1 days")
		w.newKey(q, exec, "a", "RS256", "1 hour", "")
		w.newKey(q, exec, "b", "RS256", "1 hour", "")
		rows, err := q.ListSigningKeys(w.Ctx)
		w.OK(err)
		var ids []string
		for _, k := range rows {
			ids = append(ids, string(k.ID))
		}
		if want := []string{"b", "a", "retired", "old"}; !slices.Equal(ids, want) {
			t.Errorf("got %v, want %v", ids, want)
		}
		for _, id := range []store.SigningKeyID{"over", "long over"} { // who has a token to look into still finds it
			_, err := q.GetSigningKey(w.Ctx, id)
			w.OK(err)
		}
	})
}

func TestCurrentSigningKeyIsOneThatVerifiersHaveHadTheTimeToFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	type key struct{ id, alg, age, left string }
	for name, c := range map[string]struct {
		keys []key
		lead time.Duration
		want string // empty: none
	}{
		"none":                           {},
		"none of the algorithm":          {keys: []key{{"a", "RS256", "1 day", ""}}},
		"the only one":                   {keys: []key{{"a", "ES256", "1 day", ""}}, want: "a"},
		"the newest":                     {keys: []key{{"a", "ES256", "3 days", ""}, {"b", "ES256", "2 days", ""}, {"c", "ES256", "2 days 1 hour", ""}}, want: "b"},
		"not another algorithm's":        {keys: []key{{"a", "ES256", "3 days", ""}, {"b", "RS256", "2 days", ""}}, want: "a"},
		"not one published just now":     {keys: []key{{"a", "ES256", "3 days", ""}, {"b", "ES256", "1 minute", ""}}, lead: time.Hour, want: "a"},
		"published for all but the lead": {keys: []key{{"a", "ES256", "3 days", ""}, {"b", "ES256", "59 minutes 59.999999 seconds", ""}}, lead: time.Hour, want: "a"},
		"published for the lead":         {keys: []key{{"a", "ES256", "3 days", ""}, {"b", "ES256", "1 hour", ""}}, lead: time.Hour, want: "b"},
		"however new, without a lead":    {keys: []key{{"a", "ES256", "3 days", ""}, {"b", "ES256", "0", ""}}, want: "b"},
		"the oldest while all are new":   {keys: []key{{"b", "ES256", "1 minute", ""}, {"a", "ES256", "2 minutes", ""}, {"c", "ES256", "0", ""}}, lead: time.Hour, want: "a"},
		"the first key of all":           {keys: []key{{"a", "ES256", "0", ""}}, lead: time.Hour, want: "a"},
		"never one that expires":         {keys: []key{{"a", "ES256", "3 days", ""}, {"b", "ES256", "2 days", "1 year"}}, want: "a"},
		"never one that has expired":     {keys: []key{{"a", "ES256", "3 days", "-1 hours"}, {"b", "ES256", "2 days", "0"}}},
		"rather a new one than one that expires": {
			keys: []key{{"a", "ES256", "3 days", "1 year"}, {"b", "ES256", "1 minute", ""}}, lead: time.Hour, want: "b",
		},
	} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			for _, k := range c.keys {
				w.newKey(q, exec, k.id, k.alg, k.age, k.left)
			}
			got, err := q.FindCurrentSigningKey(w.Ctx, store.FindCurrentSigningKeyParams{Alg: "ES256", LeadTime: c.lead})
			if c.want == "" {
				w.None(err)
				return
			}
			w.OK(err)
			if string(got.ID) != c.want {
				t.Errorf("%s: %s, want %s", name, got.ID, c.want)
			}
		})
	}
}

func TestRetiredKeySignsNoMoreAndIsPublishedForOneMoreLifetime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name, c := range map[string]struct {
		left     string
		lifetime time.Duration
		want     time.Duration // from now
	}{
		"that had no expiry": {"", time.Hour, time.Hour},
		"never postpones":    {"30 minutes", time.Hour, 30 * time.Minute},
		"may bring forward":  {"2 hours", time.Hour, time.Hour},
		"never revives":      {"-1 hours", time.Hour, -time.Hour},
	} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			w.newKey(q, exec, "other", "ES256", "2 days", "")
			w.newKey(q, exec, "k", "ES256", "1 day", c.left)
			exec(`UPDATE jwks SET updated_at = created_at`)
			before, err := q.GetSigningKey(w.Ctx, "k")
			w.OK(err)
			now := before.CreatedAt.Add(24 * time.Hour)
			got, err := q.RetireSigningKey(w.Ctx, store.RetireSigningKeyParams{ID: "k", Lifetime: c.lifetime})
			w.OK(err)
			if got.ExpiresAt == nil || !got.ExpiresAt.Equal(now.Add(c.want)) {
				t.Errorf("%s: expires at %v, want %v", name, got.ExpiresAt, now.Add(c.want))
			}
			wantTouched(t, name, before.CreatedAt, got.CreatedAt, before.UpdatedAt, got.UpdatedAt)
			current, err := q.FindCurrentSigningKey(w.Ctx, store.FindCurrentSigningKeyParams{Alg: "ES256"})
			w.OK(err)
			if current.ID != "other" || current.ExpiresAt != nil {
				t.Errorf("%s: the key to sign with is %+v", name, current)
			}
			rows, err := q.ListSigningKeys(w.Ctx)
			w.OK(err)
			if published := slices.ContainsFunc(rows, func(k store.SigningKey) bool { return k.ID == "k" }); published != (c.want > 0) {
				t.Errorf("%s: published %t", name, published)
			}
		})
	}
	_, err := w.Q.RetireSigningKey(w.Ctx, store.RetireSigningKeyParams{ID: "none", Lifetime: time.Hour})
	w.None(err)
}

func TestDeletedSigningKeyIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.newKey(w.Q, w.Exec, "leaked", "ES256", "1 day", "")
	w.newKey(w.Q, w.Exec, "other", "ES256", "1 day", "")
	before := w.Snapshot()
	id, err := w.Q.DeleteSigningKey(w.Ctx, "leaked")
	w.OK(err)
	if diff := fixture.Changed(before, w.Snapshot()); id != "leaked" || !slices.Equal(diff, []string{"-jwks leaked"}) {
		t.Errorf("deleted %s, changed %v", id, diff)
	}
	_, err = w.Q.DeleteSigningKey(w.Ctx, "leaked")
	w.None(err)
}

func TestExpiredSigningKeysAreCollectedInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for i := range 5 {
		w.newKey(w.Q, w.Exec, fmt.Sprint("over", i), "ES256", "9 days", fmt.Sprintf("-%d hours", i+1))
	}
	w.newKey(w.Q, w.Exec, "retired", "ES256", "9 days", "1 hour")
	w.newKey(w.Q, w.Exec, "current", "ES256", "9 days", "")
	w.collects("jwks ", fixture.Batches((*store.Queries).DeleteExpiredSigningKeys), `SELECT FROM jwks WHERE id = 'over2' FOR UPDATE`,
		[][]string{{"over3", "over4"}, {"over0", "over1"}, {"over2"}})
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`UPDATE jwks SET expires_at = now() WHERE id = 'retired'`)
		if n, err := fixture.Deleted(q.DeleteExpiredSigningKeys(w.Ctx, store.DeleteExpiredSigningKeysParams{BatchSize: 10})); err != nil || n != 1 {
			t.Errorf("at the instant of its expiry: %d collected, %v", n, err)
		}
	})
}

// collects holds a collector of expired rows to its promises, with five rows that are due: the oldest two go first, in a
// batch of two; then what nobody holds; the one held by hold at last.
func (w *world) collects(prefix string, collect func(*store.Queries, context.Context, int32) (int64, error), hold string, batches [][]string) {
	w.Helper()
	batch := func(size int32, want []string) {
		w.Helper()
		before := w.Snapshot()
		n, err := collect(w.Q, w.Ctx, size)
		w.OK(err)
		var gone []string
		for _, id := range want {
			gone = append(gone, "-"+prefix+id)
		}
		slices.Sort(gone)
		if diff := fixture.Changed(before, w.Snapshot()); n != int64(len(want)) || !slices.Equal(diff, gone) {
			w.Errorf("a batch of %d collected %d: %v, want %v", size, n, diff, gone)
		}
	}
	batch(0, nil)
	batch(2, batches[0])
	other := w.otherSession()
	_, err := other.Exec(w.Ctx, hold)
	w.OK(err)
	batch(100, batches[1])
	w.OK(other.Rollback(w.Ctx))
	batch(100, batches[2])
	batch(100, nil)
}

// A private key is here or in a key management service: in one place, never in none or in both.
func TestSigningKeyMayBeAReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	uri := new("awskms:///alias/signing")
	created, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: "kms", PublicKey: "{}", PrivateKeyURI: uri, Alg: new("ES256")})
	w.OK(err)
	wantEqual(t, "created", []any{created.PrivateKey, created.PrivateKeyURI}, []any{"", uri})
	current, err := w.Q.FindCurrentSigningKey(w.Ctx, store.FindCurrentSigningKeyParams{Alg: "ES256"})
	w.OK(err)
	wantEqual(t, "current", current, created)
	row, err := w.Q.RotateSigningKeyIfDue(w.Ctx, store.RotateSigningKeyIfDueParams{ID: "next", PublicKey: "{}", PrivateKeyURI: uri, Alg: "EdDSA", MaxAge: time.Hour})
	w.OK(err)
	w.want("RotateSigningKeyIfDue", row.Outcome, store.OutcomeRotated)
	w.refused(func() {
		for _, p := range []store.CreateSigningKeyParams{
			{ID: "none", PublicKey: "{}"},
			{ID: "both", PublicKey: "{}", PrivateKey: "ciphertext", PrivateKeyURI: uri},
		} {
			_, err := w.Q.CreateSigningKey(w.Ctx, p)
			w.violation(err, "CreateSigningKey", store.ConstraintJWKSPrivateKeyIsInOnePlace)
			_, err = w.Q.RotateSigningKeyIfDue(w.Ctx, store.RotateSigningKeyIfDueParams{ID: p.ID, PublicKey: "{}", PrivateKey: p.PrivateKey, PrivateKeyURI: p.PrivateKeyURI, Alg: "x", MaxAge: time.Hour})
			w.violation(err, "RotateSigningKeyIfDue", store.ConstraintJWKSPrivateKeyIsInOnePlace)
		}
	})
}

func TestSigningKeyIsRotatedWhenTheNewestIsDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	type key struct{ id, alg, age, left string }
	for name, c := range map[string]struct {
		keys   []key
		maxAge time.Duration
		want   string // the newest key; empty: the new one
	}{
		"the first key of all":              {maxAge: store.Never},
		"the first of the algorithm":        {keys: []key{{"a", "RS256", "0", ""}}, maxAge: store.Never},
		"young":                             {keys: []key{{"a", "ES256", "23 hours 59 minutes 59.999999 seconds", ""}}, maxAge: 24 * time.Hour, want: "a"},
		"as old as that":                    {keys: []key{{"a", "ES256", "24 hours", ""}}, maxAge: 24 * time.Hour},
		"old, with a young one":             {keys: []key{{"a", "ES256", "9 days", ""}, {"b", "ES256", "1 hour", ""}}, maxAge: 24 * time.Hour, want: "b"},
		"the newest of two young ones":      {keys: []key{{"a", "ES256", "2 hours", ""}, {"b", "ES256", "1 hour", ""}}, maxAge: 24 * time.Hour, want: "b"},
		"however old":                       {keys: []key{{"a", "ES256", "9 years", ""}}, maxAge: store.Never, want: "a"},
		"a young one that is retired":       {keys: []key{{"a", "ES256", "1 hour", "1 hour"}}, maxAge: 24 * time.Hour},
		"a young one of another algorithm":  {keys: []key{{"a", "ES256", "9 days", ""}, {"b", "RS256", "1 hour", ""}}, maxAge: 24 * time.Hour},
		"a clock that was ahead, far ahead": {keys: []key{{"a", "ES256", "-1 hours", ""}}, maxAge: time.Hour, want: "a"},
	} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			for _, k := range c.keys {
				w.newKey(q, exec, k.id, k.alg, k.age, k.left)
			}
			p := store.RotateSigningKeyIfDueParams{ID: "new", PublicKey: `{"kid":"new"}`, PrivateKey: "ciphertext", Alg: "ES256", Curve: new("P-256"), MaxAge: c.maxAge}
			row, err := q.RotateSigningKeyIfDue(w.Ctx, p)
			w.OK(err)
			if c.want != "" {
				before, err := q.GetSigningKey(w.Ctx, store.SigningKeyID(c.want))
				w.OK(err)
				wantEqual(t, name, row, store.RotateSigningKeyIfDueRow{Outcome: store.OutcomeFresh, ID: before.ID, CreatedAt: before.CreatedAt})
				_, err = q.GetSigningKey(w.Ctx, "new")
				w.None(err)
				return
			}
			got, err := q.GetSigningKey(w.Ctx, "new")
			w.OK(err)
			wantEqual(t, name, row, store.RotateSigningKeyIfDueRow{Outcome: store.OutcomeRotated, ID: "new", CreatedAt: got.CreatedAt})
			wantEqual(t, name, got, store.SigningKey{
				ID: "new", CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, PublicKey: p.PublicKey, PrivateKey: p.PrivateKey, Alg: &p.Alg, Curve: p.Curve,
			})
			row, err = q.RotateSigningKeyIfDue(w.Ctx, p) // the answer was lost
			w.OK(err)
			wantEqual(t, name+", again", row, store.RotateSigningKeyIfDueRow{Outcome: store.OutcomeRetried, ID: "new", CreatedAt: got.CreatedAt})
		})
	}
	w.Unchanged(func() {
		for want, p := range map[string]store.RotateSigningKeyIfDueParams{
			"Alg is missing":    {ID: "x", PrivateKey: "x", MaxAge: time.Hour},
			"MaxAge is missing": {ID: "x", PrivateKey: "x", Alg: "ES256"},
		} {
			_, err := w.Q.RotateSigningKeyIfDue(w.Ctx, p)
			wantEqual(t, want, pgErrorOf(err).Message, want)
		}
	})
}

// Of a fleet that finds its key due, one server stores a new one, and the others are told which; also where there is none yet.
func TestOneServerOfAFleetRotatesTheSigningKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	for round := range 4 {
		if round > 0 {
			w.Exec(`UPDATE jwks SET created_at = now() - interval '2 days'`)
		}
		rows := make([]store.RotateSigningKeyIfDueRow, 8)
		fixture.Together(fixture.Times(8, func(i int) {
			var err error
			rows[i], err = w.Q.RotateSigningKeyIfDue(w.Ctx, store.RotateSigningKeyIfDueParams{
				ID: store.SigningKeyID(fmt.Sprint(round, "-", i)), PublicKey: "{}", PrivateKey: "x", Alg: "ES256", MaxAge: 24 * time.Hour,
			})
			if err != nil {
				t.Error(err)
			}
		})...)
		won := 0
		for i, row := range rows {
			if row.Outcome == store.OutcomeRotated {
				won++
				wantEqual(t, "the winner's key", row.ID, store.SigningKeyID(fmt.Sprint(round, "-", i)))
			} else {
				w.want("RotateSigningKeyIfDue", row.Outcome, store.OutcomeFresh)
			}
			wantEqual(t, "the key that all are told", row.ID, rows[0].ID)
		}
		wantEqual(t, "winners", won, 1)
		keys, err := w.Q.ListSigningKeys(w.Ctx)
		w.OK(err)
		wantEqual(t, "keys", len(keys), round+1)
	}
}

func TestReplacedSigningKeysAreRetiredAndNoOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		w.newKey(q, exec, "oldest", "ES256", "9 days", "")
		w.newKey(q, exec, "old", "ES256", "3 days", "")
		w.newKey(q, exec, "retired", "ES256", "5 days", "1 minute")
		w.newKey(q, exec, "signs", "ES256", "1 hour", "")
		w.newKey(q, exec, "too new", "ES256", "59 minutes 59.999999 seconds", "")
		w.newKey(q, exec, "another", "RS256", "9 days", "")
		p := store.RetireReplacedSigningKeysParams{Alg: "ES256", LeadTime: time.Hour, Lifetime: 10 * time.Minute}
		retired := func(want ...string) {
			w.Helper()
			rows, err := q.RetireReplacedSigningKeys(w.Ctx, p)
			w.OK(err)
			var ids []string
			for _, k := range rows {
				ids = append(ids, string(k.ID))
				wantAt(t, "expires_at", k.ExpiresAt, k.UpdatedAt, p.Lifetime)
			}
			slices.Sort(ids)
			wantEqual(t, "retired", ids, want)
		}
		p.LeadTime = 100 * 24 * time.Hour
		retired()
		p.LeadTime = time.Hour
		retired("old", "oldest")
		retired()
		published, err := q.ListSigningKeys(w.Ctx)
		w.OK(err)
		wantEqual(t, "published as before, while what they signed lives", len(published), 6)
		current, err := q.FindCurrentSigningKey(w.Ctx, store.FindCurrentSigningKeyParams{Alg: "ES256", LeadTime: time.Hour})
		w.OK(err)
		wantEqual(t, "the key to sign with", current.ID, "signs")
		p.LeadTime = 0
		retired("signs")
	})
}

// Of the servers that ask often, as they should, only those wait that find the key due.
func TestFreshSigningKeyIsAnsweredWithoutWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.newKey(w.Q, w.Exec, "young", "ES256", "1 hour", "")
	defer w.holding(`SELECT pg_advisory_xact_lock(hashtextextended('ES256', 'jwks'::regclass::oid::bigint))`)()
	w.Exec(`SET lock_timeout = '1s'`)
	row, err := w.Q.RotateSigningKeyIfDue(w.Ctx, store.RotateSigningKeyIfDueParams{ID: "new", PublicKey: "{}", PrivateKey: "x", Alg: "ES256", MaxAge: 2 * time.Hour})
	w.OK(err)
	w.want("RotateSigningKeyIfDue", row.Outcome, store.OutcomeFresh)
}
