package calls

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

func TestTrustedIssuerIsWhatItWasCreatedAs(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 2)
	p := store.CreateTrustedIssuerParams{
		ID: store.NewTrustedIssuerID(), Issuer: fixture.Issuer, Name: new("Issuer"), JWKS: json.RawMessage(`{"keys": []}`),
		Audiences: []string{fixture.Audience, fixture.Audience}, SigningAlgorithms: []string{"ES256"}, ClientIDs: []string{"a"},
		MaxLifetime: new(time.Hour),
	}
	got, err := w.Q.CreateTrustedIssuer(w.Ctx, p)
	w.OK(err)
	wantEqual(t, "the issuer", got, store.OAuthTrustedIssuer{
		ID: p.ID, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, Issuer: fixture.Issuer, Name: p.Name, JWKS: p.JWKS,
		Audiences: []string{fixture.Audience}, SigningAlgorithms: p.SigningAlgorithms, ClientIDs: p.ClientIDs, MaxLifetime: p.MaxLifetime,
	})
	read, err := w.Q.GetTrustedIssuer(w.Ctx, p.ID)
	w.OK(err)
	wantEqual(t, "GetTrustedIssuer", read, got)
	read, err = w.Q.FindTrustedIssuerByIssuer(w.Ctx, fixture.Issuer)
	w.OK(err)
	wantEqual(t, "FindTrustedIssuerByIssuer", read, got)
	_, err = w.Q.FindTrustedIssuerByIssuer(w.Ctx, "HTTPS://issuer.example") // compared exactly
	w.None(err)
	_, err = w.Q.GetTrustedIssuer(w.Ctx, "none")
	w.None(err)
	bare, err := w.Q.CreateTrustedIssuer(w.Ctx, store.CreateTrustedIssuerParams{ID: store.NewTrustedIssuerID(), Issuer: "https://bare.example"})
	w.OK(err)
	wantEqual(t, "what is left out", bare, store.OAuthTrustedIssuer{
		ID: bare.ID, CreatedAt: bare.CreatedAt, UpdatedAt: bare.CreatedAt, Issuer: "https://bare.example",
		Audiences: []string{}, SigningAlgorithms: []string{}, ClientIDs: []string{},
	})
	page := func(after store.OAuthTrustedIssuer) []store.OAuthTrustedIssuer {
		rows, err := w.Q.ListTrustedIssuers(w.Ctx, store.ListTrustedIssuersParams{AfterCreatedAt: after.CreatedAt, AfterID: after.ID, PageSize: 1})
		w.OK(err)
		return rows
	}
	wantEqual(t, "the first page", page(store.OAuthTrustedIssuer{}), []store.OAuthTrustedIssuer{got})
	wantEqual(t, "the second page", page(got), []store.OAuthTrustedIssuer{bare})
	wantEqual(t, "the third page", len(page(bare)), 0)
}

func TestTrustedIssuerIsReplacedDisabledAndDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.TrustIssuer(fixture.Issuer, func(p *store.CreateTrustedIssuerParams) { p.MaxLifetime = new(time.Hour) })
	u := store.UpdateTrustedIssuerParams{ID: id, JWKSURI: new("https://issuer.example/keys"), Audiences: []string{"a", "b"}}
	got, err := w.Q.UpdateTrustedIssuer(w.Ctx, u)
	w.OK(err)
	wantEqual(t, "what is left out permits nothing", got, store.OAuthTrustedIssuer{
		ID: id, CreatedAt: got.CreatedAt, UpdatedAt: got.UpdatedAt, Issuer: fixture.Issuer, JWKSURI: u.JWKSURI, Audiences: u.Audiences,
		SigningAlgorithms: []string{}, ClientIDs: []string{},
	})
	if !got.UpdatedAt.After(got.CreatedAt) {
		t.Error("updated_at is not later")
	}
	u = store.UpdateTrustedIssuerParams{
		ID: id, Name: new("Issuer"), JWKS: json.RawMessage(`{"keys": [{}]}`), Audiences: []string{"c"}, SigningAlgorithms: []string{"EdDSA"},
		ClientIDs: []string{"d"}, AnyClient: true, MaxLifetime: new(time.Minute),
	}
	got, err = w.Q.UpdateTrustedIssuer(w.Ctx, u)
	w.OK(err)
	wantEqual(t, "replaced", got, store.OAuthTrustedIssuer{
		ID: id, CreatedAt: got.CreatedAt, UpdatedAt: got.UpdatedAt, Issuer: fixture.Issuer, Name: u.Name, JWKS: u.JWKS, Audiences: u.Audiences,
		SigningAlgorithms: u.SigningAlgorithms, ClientIDs: u.ClientIDs, AnyClient: true, MaxLifetime: u.MaxLifetime,
	})
	w.want("DisableTrustedIssuer", w.outcome(w.Q.DisableTrustedIssuer(w.Ctx, id)), store.OutcomeEnded)
	got, err = w.Q.GetTrustedIssuer(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "disabled", got.Disabled, true)
	w.want("EnableTrustedIssuer", w.outcome(w.Q.EnableTrustedIssuer(w.Ctx, id)), store.OutcomeEnabled)
	w.want("DeleteTrustedIssuer", w.outcome(w.Q.DeleteTrustedIssuer(w.Ctx, id)), store.OutcomeDeleted)
	w.Unchanged(func() {
		_, err := w.Q.UpdateTrustedIssuer(w.Ctx, u)
		w.None(err)
		w.want("DisableTrustedIssuer", w.outcome(w.Q.DisableTrustedIssuer(w.Ctx, id)), store.OutcomeUnknown)
		w.want("EnableTrustedIssuer", w.outcome(w.Q.EnableTrustedIssuer(w.Ctx, id)), store.OutcomeUnknown)
		w.want("DeleteTrustedIssuer", w.outcome(w.Q.DeleteTrustedIssuer(w.Ctx, id)), store.OutcomeUnknown)
	})
}
