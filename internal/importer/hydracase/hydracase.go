// Package hydracase says what an import of the tables of Ory Hydra has to come to. bench/http fills them by a Hydra that it builds; the tests
// of package importer read what it had filled them with.
package hydracase

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/importer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Case is what a Hydra has in its tables: three clients, the public shop and app and the confidential partner; ada, who has agreed to all of
// them, and bob, who has agreed to the shop.
type Case struct {
	SystemSecret  string
	PartnerSecret string

	Live    string // ada's at the shop: openid, offline and profile
	Spent   string // the token before it
	Partner string // ada's at the partner, for https://api.example/
	App     string // ada's at the app, whose consent is to be remembered for an hour
	Bob     string // bob's at the shop, whose consent isn't to be remembered
}

var successorKey = []byte("thirty-two bytes for a successor")

// Rotate presents a refresh token of Hydra's as a server does that has taken over its grants.
func Rotate(t testing.TB, q *store.Queries, secret, presented string, client store.ClientID) store.RotateRefreshTokenRow {
	t.Helper()
	hydra, err := token.NewHydra(secret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := token.Parse(token.RefreshToken, presented)
	digest := raw.Digest()
	if errors.Is(err, token.ErrForeign) {
		raw, digest, err = hydra.Parse(token.RefreshToken, presented)
	}
	if err != nil {
		t.Fatal(err)
	}
	row, err := q.RotateRefreshToken(t.Context(), store.RotateRefreshTokenParams{
		Token: digest, ClientID: client, ClientAuthMethod: "verified", DefaultResources: []string{"https://api.example/"},
		SuccessorID: store.NewRefreshTokenID(), Successor: token.Successor(successorKey, raw).Digest(), RefreshTokenLifetime: time.Hour,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(token.Mint(token.AccessToken).Digest()), AccessTokenLifetime: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// Check imports the tables at an address into a database, and uses what came.
func Check(t *testing.T, source string, d *testdb.DB, c Case) {
	ctx := t.Context()
	read := func(o importer.HydraOptions, run importer.Options) (lines []string, sum importer.Summary) {
		t.Helper()
		s, err := importer.OpenSource(ctx, source)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		o.Lifetimes = importer.Lifetimes{RefreshToken: store.Never, Family: store.Never}
		var items iter.Seq2[importer.Item, error]
		if items, err = importer.HydraTables(ctx, s, o); err != nil {
			t.Fatal(err)
		}
		sum, err = importer.Run(ctx, d.Pool, items, run, func(r importer.Result) {
			lines = append(lines, strings.TrimSuffix(fmt.Sprintf("%s %s %s: %s", r.Kind, r.ID, r.Outcome, strings.Join(r.Reasons, "; ")), ": "))
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(lines)
		return lines, sum
	}
	want := func(what string, got, want []string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: it says\n%s\ninstead of\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	const renamed = ": the scope offline is called offline_access"
	const partner = "client partner changed: it has lifetimes by grant type; the longest is the upper bound for all; the scope offline is called offline_access"

	// subjects that are nobody here are refused
	lines, _ := read(importer.HydraOptions{}, importer.Options{DryRun: true, Jobs: 3})
	want("a dry run without users", lines, []string{
		"client app changed" + renamed, partner + "; its requests need PKCE from now on; with -pkce-optional they don't", "client shop changed" + renamed,
		"consent ada/app refused: it was to be remembered for a time only", "consent ada/partner refused: there is no client partner, and no user ada", "consent ada/shop refused: there is no client shop, and no user ada",
		"refresh token ada/app refused: there is no client app, and no user ada", "refresh token ada/partner refused: there is no client partner, and no user ada",
		"refresh token ada/shop refused: there is no client shop, and no user ada", "refresh token bob/shop refused: there is no client shop, and no user bob",
	})
	if _, err := d.Store.GetClient(ctx, "shop"); err == nil {
		t.Error("a dry run has stored a client")
	}
	if _, err := d.Store.CreateUser(ctx, store.CreateUserParams{ID: "ada", Name: "Ada"}); err != nil {
		t.Fatal(err)
	}
	all := []string{
		"client app changed" + renamed, partner, "client shop changed" + renamed,
		"consent ada/app refused: it was to be remembered for a time only", "consent ada/partner taken", "consent ada/shop taken",
		"refresh token ada/app taken", "refresh token ada/partner taken", "refresh token ada/shop taken", "refresh token bob/shop taken",
		"user ada present", "user bob taken",
	}
	o := importer.HydraOptions{PKCEOptional: true, CreateUsers: true}
	lines, _ = read(o, importer.Options{DryRun: true, Jobs: 3})
	want("a dry run", lines, all)
	lines, sum := read(o, importer.Options{Jobs: 3})
	want("the import", lines, all)
	if sum != (importer.Summary{Read: 12, Taken: 7, Changed: 3, Present: 1, Refused: 1}) {
		t.Errorf("%+v", sum)
	}
	if _, again := read(o, importer.Options{Jobs: 3}); again != (importer.Summary{Read: 12, Present: 11, Refused: 1}) {
		t.Errorf("again: %+v", again)
	}
	if _, rest := read(o, importer.Options{Jobs: 3, Skip: 10}); rest != (importer.Summary{Read: 12, Present: 2}) {
		t.Errorf("the rest: %+v", rest)
	}
	if only, _ := read(importer.HydraOptions{Only: []importer.Kind{importer.ConsentRecord}}, importer.Options{}); len(only) != 3 {
		t.Errorf("consents alone: %q", only)
	}

	checkClients(ctx, t, d.Store)
	checkGrants(ctx, t, d.Store, c)
}

func checkClients(ctx context.Context, t *testing.T, q *store.Queries) {
	partner, err := q.GetClient(ctx, "partner")
	if err != nil {
		t.Fatal(err)
	}
	if partner.ForeignSecretHash == nil || !strings.HasPrefix(*partner.ForeignSecretHash, "$pbkdf2-sha256$") || !slices.Equal(partner.Resources, []string{"https://api.example/"}) ||
		partner.AccessTokenLifetime == nil || *partner.AccessTokenLifetime != 2*time.Hour || string(partner.Metadata) != `{"team": "photos", "userinfo_signed_response_alg": "none"}` || *partner.RequirePKCE ||
		!slices.Equal(partner.Scopes, []string{"openid", "offline_access"}) || !slices.Equal(partner.RedirectURIs, []string{"https://client.example/callback"}) {
		t.Errorf("the partner is %+v, with metadata %s", partner, partner.Metadata)
	}
	if shop, err := q.GetClient(ctx, "shop"); err != nil || !*shop.Public || shop.ForeignSecretHash != nil || *shop.Name != "Shop" || shop.JWKS != nil {
		t.Errorf("the shop is %+v, %v", shop, err)
	}
}

func checkGrants(ctx context.Context, t *testing.T, q *store.Queries, c Case) {
	covered := func(user store.UserID, client store.ClientID, want bool, scope string, resources ...string) {
		t.Helper()
		row, err := q.CheckConsent(ctx, store.CheckConsentParams{UserID: user, ClientID: client, Scopes: []string{"openid", scope}, Resources: resources})
		if err != nil || row.Covered != want {
			t.Errorf("%s's consent to %s covers it: %t, %v", user, client, row.Covered, err)
		}
	}
	covered("ada", "shop", true, "offline_access")
	covered("ada", "shop", true, "profile")
	covered("ada", "shop", false, "email")
	covered("ada", "partner", true, "offline_access", "https://api.example/")
	covered("ada", "partner", false, "offline_access") // it was for the API alone
	covered("ada", "app", false, "openid")
	covered("bob", "shop", false, "openid")

	is := func(what string, row store.RotateRefreshTokenRow, want store.Outcome) {
		t.Helper()
		if row.Outcome != want {
			t.Errorf("%s: %s, want %s", what, row.Outcome, want)
		}
	}
	rotated := Rotate(t, q, c.SystemSecret, c.Live, "shop")
	is("the first rotation", rotated, store.OutcomeRotated)
	if !slices.Equal(rotated.Scopes, []string{"openid", "profile", "offline_access"}) || *rotated.UserID != "ada" || rotated.AuthTime == nil {
		t.Errorf("it is %+v", rotated)
	}
	is("a token that Hydra had spent", Rotate(t, q, c.SystemSecret, c.Spent, "shop"), store.OutcomeUnknown)
	is("another client", Rotate(t, q, c.SystemSecret, c.Bob, "app"), store.OutcomeUnknown)
	if partner := Rotate(t, q, c.SystemSecret, c.Partner, "partner"); partner.Outcome != store.OutcomeRotated || !slices.Equal(partner.Resources, []string{"https://api.example/"}) {
		t.Errorf("the partner's: %+v", partner)
	}

	// a replay of the imported token ends the family
	is("a replay", Rotate(t, q, c.SystemSecret, c.Live, "shop"), store.OutcomeReplayed)
	family, err := q.GetAuthorization(ctx, *rotated.AuthorizationID)
	if err != nil || family.RevokedAt == nil {
		t.Errorf("the family goes on: %+v, %v", family, err)
	}

	// who knows what Hydra's table holds can't present it
	hydra, err := token.NewHydra(c.SystemSecret)
	if err != nil {
		t.Fatal(err)
	}
	_, signature, _ := strings.Cut(c.Bob, ".")
	if _, _, err := hydra.Parse(token.RefreshToken, "ory_rt_AAAA."+signature); !errors.Is(err, token.ErrChecksum) {
		t.Errorf("a signature with a key that is made up: %v", err)
	}
	if raw, err := token.ParseForeign(token.RefreshToken, signature); err != nil {
		t.Error(err)
	} else if _, err := q.FindRefreshTokenByToken(ctx, raw.Digest()); err == nil {
		t.Error("a signature is as good as its token")
	}
	is("bob's is good all the same", Rotate(t, q, c.SystemSecret, c.Bob, "shop"), store.OutcomeRotated)

	// what is withdrawn here doesn't come back by another import
	if _, err := q.WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: "ada", ClientID: "partner"}); err != nil {
		t.Fatal(err)
	}
	if outcome, err := q.ImportConsent(ctx, store.ImportConsentParams{ID: store.NewConsentID(), UserID: "ada", ClientID: "partner"}); err != nil || outcome != store.OutcomeRevoked {
		t.Errorf("%s, %v", outcome, err)
	}
}
