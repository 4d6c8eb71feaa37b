package calls

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const bcryptOfA = "$2b$12$Q0Dd5gXmPzoPzOqMT4eGeOvXkJzqkLQKQ5bC0rQmVxgkq9t7Vw5yS"

// imported is a client whose secret another server has hashed.
func (w *world) imported() store.ClientID {
	w.Helper()
	return w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret, p.ForeignSecretHash = nil, new(bcryptOfA) })
}

// firstUse is a server that has checked a secret against the hash.
func (w *world) firstUse(client store.ClientID, hash, secret string) store.Outcome {
	w.Helper()
	return w.outcome(w.Q.ReplaceForeignSecretHash(w.Ctx, store.ReplaceForeignSecretHashParams{
		ClientID: client, ForeignSecretHash: hash, ClientSecret: fixture.Digest(secret),
	}))
}

func TestForeignSecretHashIsReplacedAtTheFirstUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.imported()
	c, err := w.Q.GetClient(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "the hash", c.ForeignSecretHash, new(bcryptOfA))
	for _, secret := range []string{"A", bcryptOfA, ""} { // the hash itself is no secret
		wantEqual(t, "authenticated by "+secret, w.authenticated(w.Q, id, secret), false)
	}
	_, err = w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: id, ClientAuthMethod: "client_secret_basic", ClientSecret: token.Digest(bcryptOfA)})
	if err == nil {
		t.Error("the hash itself is taken for a digest")
	}
	for _, method := range []string{"none", "private_key_jwt"} { // it is confidential, by its secret
		row, err := w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: id, ClientAuthMethod: method})
		w.OK(err)
		w.want(method, row, store.OutcomeUnauthenticated)
	}
	w.Unchanged(func() {
		w.want("another hash", w.firstUse(id, bcryptOfA+"x", "A"), store.OutcomeMismatched)
		w.want("no hash", w.firstUse(id, "", "A"), store.OutcomeMismatched)
		w.want("no such client", w.firstUse("none", bcryptOfA, "A"), store.OutcomeUnknown)
		_, err := w.Q.ReplaceForeignSecretHash(w.Ctx, store.ReplaceForeignSecretHashParams{ClientID: id, ForeignSecretHash: bcryptOfA})
		wantEqual(t, "without a digest", pgErrorOf(err).Message, "ClientSecret is missing")
		w.want("another hash, without a digest", w.outcome(w.Q.ReplaceForeignSecretHash(w.Ctx, store.ReplaceForeignSecretHashParams{
			ClientID: id, ForeignSecretHash: bcryptOfA + "x",
		})), store.OutcomeMismatched)
	})
	w.changesRows(func() { w.want("the first use", w.firstUse(id, bcryptOfA, "A"), store.OutcomeReplaced) }, rowName("~", "oauth_client", c.ID))
	got, err := w.Q.GetClient(w.Ctx, id)
	w.OK(err)
	c.ClientSecret, c.ForeignSecretHash, c.UpdatedAt = new(fixture.Digest("A")), nil, got.UpdatedAt
	wantEqual(t, "the client", got, c)
	wantEqual(t, "authenticated", w.authenticated(w.Q, id, "A"), true)
	w.Unchanged(func() {
		w.want("the second use, which began before", w.firstUse(id, bcryptOfA, "A"), store.OutcomeRetried)
		w.want("another secret", w.firstUse(id, bcryptOfA, "B"), store.OutcomeMismatched)
	})
	plain := w.NewClient()
	w.Unchanged(func() {
		w.want("of a client without a hash", w.firstUse(plain, bcryptOfA, "A"), store.OutcomeMismatched)
	})
	w.deleteClient(id)
	w.Unchanged(func() { w.want("of a deleted client", w.firstUse(id, bcryptOfA, "A"), store.OutcomeUnknown) })
}

// The caller of a first use is the client only if its secret still counts, as in AuthenticateClient.
func TestForeignSecretThatDoesNotCountIsNotReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for what, spoil := range map[string]struct {
		sql  string
		want store.Outcome
	}{
		"expired":              {`UPDATE oauth_client SET client_secret_expires_at = now() WHERE client_id = $1`, store.OutcomeExpired},
		"expired and disabled": {`UPDATE oauth_client SET client_secret_expires_at = now() - interval '1 day', disabled = true WHERE client_id = $1`, store.OutcomeExpired},
		"disabled":             {`UPDATE oauth_client SET disabled = true WHERE client_id = $1`, store.OutcomeDisabled},
	} {
		first, second := w.imported(), w.imported()
		w.want("the first use", w.firstUse(second, bcryptOfA, "A"), store.OutcomeReplaced)
		for _, id := range []store.ClientID{first, second} {
			w.Exec(spoil.sql, id)
			w.Unchanged(func() {
				w.want(what, w.firstUse(id, bcryptOfA, "A"), spoil.want)
				w.want(what+", another hash", w.firstUse(id, bcryptOfA+"x", "B"), store.OutcomeMismatched)
			})
		}
	}
	id := w.imported()
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		for _, c := range []struct {
			left string
			want store.Outcome
		}{{"0", store.OutcomeExpired}, {"0.000001 seconds", store.OutcomeReplaced}} {
			exec(`UPDATE oauth_client SET client_secret_expires_at = now() + $2::text::interval WHERE client_id = $1`, id, c.left)
			w.want(c.left+" left", w.on(q).firstUse(id, bcryptOfA, "A"), c.want)
		}
	})
}

// While the hash is being checked, which takes long, the secret is rotated: the new one stands.
func TestRotationWinsOverAFirstUseThatBeganBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.imported()
	w.rotateSecret(w.Q, id, "B", 24*time.Hour, store.OutcomeRotated)
	w.Unchanged(func() { w.want("the first use", w.firstUse(id, bcryptOfA, "A"), store.OutcomeMismatched) })
	wantEqual(t, "authenticated", []bool{w.authenticated(w.Q, id, "A"), w.authenticated(w.Q, id, "B")}, []bool{false, true})
	older, err := w.Q.ListClientSecrets(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "a hash is no secret that goes on counting", len(older), 0)

	// what was rotated out after it had been replaced keeps its promise
	id = w.imported()
	w.want("the first use", w.firstUse(id, bcryptOfA, "A"), store.OutcomeReplaced)
	w.rotateSecret(w.Q, id, "B", 24*time.Hour, store.OutcomeRotated)
	w.want("another first use", w.firstUse(id, bcryptOfA, "A"), store.OutcomeMismatched)
	wantEqual(t, "authenticated", []bool{w.authenticated(w.Q, id, "A"), w.authenticated(w.Q, id, "B")}, []bool{true, true})
}

// Eight parallel first uses: one replaces, all authenticate.
func TestParallelFirstUsesAllAuthenticate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	for range 5 {
		id := w.imported()
		outcomes := make([]store.Outcome, 8)
		fixture.Together(fixture.Times(8, func(i int) { outcomes[i] = w.firstUse(id, bcryptOfA, "A") })...)
		replaced := 0
		for _, o := range outcomes {
			if o == store.OutcomeReplaced {
				replaced++
			} else {
				w.want("the others", o, store.OutcomeRetried)
			}
		}
		wantEqual(t, "replaced", replaced, 1)
		wantEqual(t, "authenticated", w.authenticated(w.Q, id, "A"), true)
	}
}

// A realm export shows each secret as asterisks, or in plain text: neither is kept as a hash.
func TestMaskIsNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	create := func(hash string) error {
		_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{
			ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{"x"}, ForeignSecretHash: &hash,
		})
		return err
	}
	for _, mask := range []string{
		"", "**********", "$2b$**********", "secret", "xxxxxxxxxx", "••••••••", "<redacted>", "$", "$$$", "$2b$", "pbkdf2", "{noop}secret", "{NoOp}secret",
		"{plain}secret", "{cleartext}x", " " + bcryptOfA, bcryptOfA + "\n", "$2b$12$ä",
	} {
		w.refused(func() {
			w.violation(create(mask), "CreateClient", store.ConstraintOAuthClientForeignSecretHashIsHash)
		})
	}
	for _, hash := range []string{
		bcryptOfA, "$2y$10$abcdefghijklmnopqrstuu", "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "$pbkdf2-sha256$29000$N2YMIWQsBWBMae09x1jrPQ$1t8iyB2A",
		"pbkdf2:sha256:260000$salt$hash", "pbkdf2_sha256$260000$salt$hash=", "pbkdf2-sha512$i=1$x", "scrypt:32768:8:1$salt$hash", "argon2$argon2id$v=19$x",
		"$6$rounds=5000$salt$hash", "{SSHA}c2FsdA==", "{bcrypt}$2a$10$x", "bcrypt_sha256$$2b$12$x",
	} {
		if err := create(hash); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
	}
	both := store.CreateClientParams{ID: "both", ClientID: "both", RedirectURIs: []string{"x"}, ClientSecret: new(fixture.Digest("A")), ForeignSecretHash: new(bcryptOfA)}
	w.refused(func() {
		_, err := w.Q.CreateClient(w.Ctx, both)
		w.violation(err, "CreateClient", store.ConstraintOAuthClientOneKindOfSecret)
	})
}

// A row that Go could not read is refused when another server or an import writes it, so that no page of others is lost.
func TestBadRowOfAnotherServerIsRefusedWhenItIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.consent("", false, "openid")
	id := w.pending()
	deep := `{"a":` + string(repeated("[", 10_001)) + string(repeated("]", 10_001)) + `}`
	for _, sql := range []string{
		`INSERT INTO oauth_client (id, client_id, redirect_uris, metadata) VALUES ('bad', 'bad', '{x}', $1::text::jsonb)`,
		`UPDATE oauth_client SET metadata = $1::text::jsonb`, `UPDATE oauth_client SET jwks = $1::text::jsonb`,
		`UPDATE oauth_authorization SET claims = $1::text::jsonb`, `UPDATE oauth_authorization SET data = $1::text::jsonb`,
		`UPDATE oauth_consent SET resource_scopes = $1::text::jsonb`, `UPDATE oauth_consent SET authorization_details = jsonb_build_array($1::text::jsonb)`,
	} {
		w.refused(func() {
			if _, err := w.Pool.Exec(w.Ctx, sql, deep); pgErrorOf(err).Code != "23514" {
				t.Errorf("%s: %v", sql, err)
			}
		})
	}
	_, err := w.Q.ListClients(w.Ctx, store.ListClientsParams{PageSize: 10})
	w.OK(err)
	_, err = w.Q.GetClient(w.Ctx, w.Client)
	w.OK(err)
	_, err = w.Q.GetAuthorization(w.Ctx, id)
	w.OK(err)
	consents, err := w.Q.ListUserConsents(w.Ctx, store.ListUserConsentsParams{UserID: w.User, PageSize: 10})
	w.OK(err)
	wantEqual(t, "consents", len(consents), 1)
	w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, w.Client)), store.OutcomeEnded)

	// resource_scopes of another shape don't keep CheckConsent from answering
	w.want("EnableClient", w.outcome(w.Q.EnableClient(w.Ctx, w.Client)), store.OutcomeEnabled)
	for _, odd := range []string{`{"https://bank.example": "pay"}`, `{"https://bank.example": [1, null, {"pay": 1}]}`, `{"https://bank.example": {"pay": 1}}`, `{"https://bank.example": null}`} {
		w.Exec(`UPDATE oauth_consent SET resource_scopes = $1`, json.RawMessage(odd))
		wantEqual(t, odd, w.check([]string{"pay"}, []string{bankAPI}).Covered, false)
		wantEqual(t, odd, w.check([]string{"openid"}, nil).Covered, true)
		w.agreeAt(bankAPI, "pay")
		wantEqual(t, "merged into "+odd, w.check([]string{"pay"}, []string{bankAPI}).Covered, true)
	}
}
