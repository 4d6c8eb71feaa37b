package upgrade

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// files are those of testdata, the oldest release first.
func files(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("testdata/*.jsonl")
	ok(t, err)
	if len(found) == 0 {
		t.Fatal("testdata is empty")
	}
	return found
}

func (d *database) up() {
	d.Helper()
	_, err := migrations.Up(d.Context(), d.sql, migrations.Options{})
	ok(d, err)
}

func (d *database) downTo(version int64) {
	d.Helper()
	_, err := migrations.DownTo(d.Context(), d.sql, version, migrations.Options{})
	ok(d, err)
}

// contents are those of the database.
func (d *database) contents() (all contents) {
	d.Helper()
	d.in(false, func(tx pgx.Tx) { all = contentsOf(d, tx) })
	return all
}

// older loads a file into tables of its version.
func older(t *testing.T, file string) (*database, data, contents) {
	t.Helper()
	from, d := read(t, file), newDatabase(t)
	_, err := migrations.UpTo(t.Context(), d.sql, from.version, migrations.Options{})
	ok(t, err)
	d.load(from)
	return d, from, d.contents()
}

func TestWhatAnOlderReleaseHasWrittenSurvives(t *testing.T) {
	t.Parallel()
	for _, file := range files(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".jsonl"), func(t *testing.T) {
			t.Parallel()
			d, from, before := older(t, file)
			for table, rows := range before {
				if len(rows) == 0 {
					t.Errorf("%s is empty", table)
				}
			}

			d.up()
			var after contents
			d.in(false, func(tx pgx.Tx) {
				after = contentsOf(t, tx)
				for _, fault := range append(append(counts(before, after), others(from.tokens, introspect(t, tx))...), broken(t, tx)...) {
					t.Error(fault)
				}
			})

			d.downTo(from.version)
			for _, change := range changes(before, d.contents()) {
				t.Errorf("after going back: %s", change)
			}
			d.up()
			for _, change := range changes(after, d.contents()) {
				t.Errorf("after going back and forth: %s", change)
			}

			d.in(true, func(tx pgx.Tx) { goOn(t, tx, from.tokens) })
			for version := migrationsOf(t); version > 0; version-- { // each finds the rows
				d.downTo(version - 1)
			}
		})
	}
}

// migrationsOf is the newest version.
func migrationsOf(t *testing.T) int64 {
	t.Helper()
	all, err := filepath.Glob("../../../migrations/0*.sql")
	ok(t, err)
	return int64(len(all))
}

// goOn redeems, refreshes and ends grants of then.
func goOn(t *testing.T, tx pgx.Tx, then outcomes) {
	t.Helper()
	q := store.New(tx)
	type credential struct {
		Token  token.Digest
		Client store.ClientID
	}
	codes, err := pgx.CollectRows(rows(t.Context(), tx, `
		SELECT a.code::text, a.client_id
		FROM oauth_authorization AS a
		JOIN oauth_client AS c ON c.client_id = a.client_id
		WHERE a.status = 'approved' AND a.code_expires_at > now() AND a.redeemed_at IS NULL`), pgx.RowToStructByPos[credential])
	ok(t, err)
	redeemed, rotated := 0, 0
	for _, c := range codes {
		row, err := q.RedeemAuthorizationCode(t.Context(), store.RedeemAuthorizationCodeParams{
			Code: c.Token, ClientID: c.Client, ClientAuthMethod: "verified", RedirectURI: new(fixture.RedirectURI), CodeChallenge: &fixture.Challenge,
			AccessTokenID: store.NewAccessTokenID(), AccessToken: new(token.DigestOf("access " + string(c.Token))), AccessTokenLifetime: time.Minute,
			RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(token.DigestOf("refresh " + string(c.Token))), RefreshTokenLifetime: time.Hour,
			FamilyLifetime: time.Hour, DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
		})
		ok(t, err)
		if row.Outcome != store.OutcomeRedeemed {
			t.Errorf("a code is %s", row.Outcome)
		}
		redeemed++
	}
	tokens, err := pgx.CollectRows(rows(t.Context(), tx, `SELECT token::text, client_id FROM oauth_refresh_token WHERE revoked IS NULL`), pgx.RowToStructByPos[credential])
	ok(t, err)
	for _, r := range tokens {
		next := token.DigestOf("next " + string(r.Token))
		row, err := q.RotateRefreshToken(t.Context(), store.RotateRefreshTokenParams{
			Token: r.Token, ClientID: r.Client, ClientAuthMethod: "verified", SuccessorID: store.NewRefreshTokenID(), Successor: next,
			RefreshTokenLifetime: time.Hour, AccessTokenID: store.NewAccessTokenID(), AccessToken: new(token.DigestOf("access of " + string(r.Token))),
			AccessTokenLifetime: time.Minute, DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
		})
		ok(t, err)
		was, old := then[r.Token]
		if live := !old || was == store.OutcomeActive; (row.Outcome == store.OutcomeRotated) != live {
			t.Errorf("a refresh token that was %q is %s", was, row.Outcome)
		}
		if row.Outcome != store.OutcomeRotated {
			continue
		}
		rotated++
		ended, err := q.RevokeToken(t.Context(), store.RevokeTokenParams{Token: next, ClientID: r.Client, ClientAuthMethod: "verified"})
		ok(t, err)
		if ended.Outcome != store.OutcomeEnded {
			t.Errorf("a grant is %s", ended.Outcome)
		}
	}
	if redeemed == 0 || rotated < 4 {
		t.Errorf("%d codes were redeemed and %d tokens rotated", redeemed, rotated)
	}
}

// A migration that did such things would be found.
func TestWrongMigrationsAreFound(t *testing.T) {
	t.Parallel()
	all := files(t)
	d, from, before := older(t, all[len(all)-1])
	d.up()
	after := d.contents()
	for sql, want := range map[string]string{
		`DELETE FROM oauth_consent WHERE id = (SELECT min(id) FROM oauth_consent)`:                      "oauth_consent has",
		`UPDATE oauth_client SET grants_epoch = 0`:                                                      "is active and was",
		`UPDATE oauth_client SET grants_epoch = grants_epoch + 1`:                                       "and was active",
		`UPDATE oauth_refresh_token SET token = overlay(token PLACING reverse(left(token, 42)) FROM 1)`: "and was active",
		`UPDATE "user" SET name = upper(name)`:                                                          "gone in user",
		`UPDATE session SET user_id = 'nobody'`:                                                         "session_user_id_fkey",
		`ALTER TABLE session ADD CONSTRAINT session_is_young CHECK (created_at > updated_at) NOT VALID`: "session_is_young",
		`ALTER TABLE session ADD CONSTRAINT session_is_old CHECK (created_at <= updated_at) NOT VALID`:  "session_is_old is not valid",
		`CREATE DOMAIN tiny AS text; ALTER TABLE session ADD COLUMN tiny tiny NOT NULL DEFAULT 'large';
			ALTER DOMAIN tiny ADD CONSTRAINT tiny_is_tiny CHECK (VALUE = 'tiny') NOT VALID`: "tiny_is_tiny:",
	} {
		d.in(false, func(tx pgx.Tx) {
			_, err := tx.Exec(t.Context(), "SET LOCAL session_replication_role = replica")
			ok(t, err)
			_, err = tx.Conn().PgConn().Exec(t.Context(), sql).ReadAll()
			ok(t, err)
			now := contentsOf(t, tx)
			var found []error
			for _, faults := range [][]string{counts(before, now), others(from.tokens, introspect(t, tx)), broken(t, tx), changes(after, now)} {
				for _, fault := range faults {
					found = append(found, errors.New(fault))
				}
			}
			if text := fmt.Sprint(errors.Join(found...)); !strings.Contains(text, want) {
				t.Errorf("%s: found %s, want %s", sql, text, want)
			}
		})
	}
	if found := changes(after, d.contents()); len(found) > 0 {
		t.Errorf("the database isn't as it was: %q", found)
	}
}
