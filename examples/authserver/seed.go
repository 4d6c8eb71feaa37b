package main

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

//go:embed clients/*.json
var demoClients embed.FS

const (
	demoEmail    = "ada@example.com"
	demoPassword = "correct horse battery staple"
	demoOrigin   = "http://127.0.0.1:8081" // of the demo app, as clients/web.json has it
)

// application is a client's document, with the identifier and the secret that it is to have, if any.
type application struct {
	ID     string
	Secret string
	Scopes []string
	params store.CreateClientParams
}

func parseApplication(document []byte) (application, error) {
	metadata, err := registration.Parse(document)
	if err != nil {
		return application{}, fmt.Errorf("reading a registration document: %w", err)
	}
	// Parse keeps no secret, but an operator's document may state the one that the client is to have
	var given struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(document, &given); err != nil {
		return application{}, fmt.Errorf("reading a registration document: %w", err)
	}
	p := metadata.CreateClientParams()
	p.EnableEndSession = new(len(p.PostLogoutRedirectURIs) > 0)
	return application{given.ID, given.Secret, p.Scopes, p}, nil
}

// register creates the client, or answers with false if there is one of that identifier.
func register(ctx context.Context, q *store.Queries, r application) (bool, error) {
	p := r.params
	p.ID, p.ClientID = store.NewOAuthClientID(), store.ClientID(r.ID)
	if r.Secret != "" {
		p.ClientSecret = new(token.DigestOf(r.Secret))
	}
	_, err := q.CreateClient(ctx, p)
	if db.Violates(err, store.ConstraintOAuthClientClientIDUIdx) {
		return false, nil
	}
	return err == nil, err
}

// addUser registers somebody who signs in with a password. The e-mail address counts as verified: whoever calls knows it.
func addUser(ctx context.Context, q *store.Queries, hashing *passwords, name, email, password string) (store.UserID, error) {
	hash, err := hashing.hash(ctx, password)
	if err != nil {
		return "", err
	}
	user, err := q.CreateUser(ctx, store.CreateUserParams{ID: store.NewUserID(), Name: name, Email: &email, EmailVerified: true})
	if err != nil {
		return "", err
	}
	return user.ID, addPassword(ctx, q, user.ID, hash)
}

func addPassword(ctx context.Context, q *store.Queries, user store.UserID, hash string) error {
	_, err := q.CreateAccount(ctx, store.CreateAccountParams{
		ID: store.NewAccountID(), AccountID: string(user), ProviderID: "credential", UserID: user, Password: &hash,
	})
	return err
}

// demo is what was seeded.
type demo struct {
	email, password string
	web, tv         application
	machine         application
	user            store.UserID
}

// seedDemo adds what the demo needs and lacks; what is there stays as it is, except for the demo app's address.
func seedDemo(ctx context.Context, q *store.Queries, hashing *passwords, home string) (demo, error) {
	d := demo{email: demoEmail, password: demoPassword}
	row, err := q.FindCredentialAccountByEmail(ctx, demoEmail)
	switch {
	case err == nil:
		d.user = row.User.ID
	case db.IsNotFound(err):
		d.user, err = addUser(ctx, q, hashing, "Ada Lovelace", demoEmail, demoPassword)
		if db.IsUniqueViolation(err) { // another server is starting, or a user without a password has the address
			err = fmt.Errorf("seeding %s: %w", demoEmail, err)
		}
	}
	if err != nil {
		return d, err
	}
	for _, name := range []string{"web", "native", "tv", "machine"} {
		document, err := demoClients.ReadFile("clients/" + name + ".json")
		if err != nil {
			return d, err
		}
		if name == "web" {
			document = []byte(strings.ReplaceAll(string(document), demoOrigin, home))
		}
		r, err := parseApplication(document)
		if err != nil {
			return d, fmt.Errorf("clients/%s.json: %w", name, err)
		}
		created, err := register(ctx, q, r)
		if err != nil {
			return d, fmt.Errorf("clients/%s.json: %w", name, err)
		}
		switch name {
		case "machine":
			d.machine = r
		case "tv":
			d.tv = r
		case "web":
			d.web = r
			if !created {
				_, err := q.UpdateClient(ctx, store.UpdateClientParams{
					ClientID: store.ClientID(r.ID), URI: r.params.URI, RedirectURIs: r.params.RedirectURIs,
					PostLogoutRedirectURIs: r.params.PostLogoutRedirectURIs, BackchannelLogoutURI: r.params.BackchannelLogoutURI,
				})
				if err != nil {
					return d, err
				}
			}
		}
	}
	return d, nil
}

// tenants are the organisations of the demo's user.
func (d demo) tenants(_ context.Context, user store.User) ([]tenant, error) {
	if user.ID != d.user {
		return nil, nil
	}
	return []tenant{{"org_analytical", "Analytical Engines Ltd."}, {"org_royal", "Royal Photographic Society"}}, nil
}

// registrationsLifetime is that of an initial access token.
const registrationsLifetime = 30 * 24 * time.Hour

// administer adds a user or a client, for a provider that knows nothing by heart.
func administer(ctx context.Context, q *store.Queries, c *config, stdin io.Reader, stdout io.Writer) error {
	if c.addUser != "" {
		password, err := bufio.NewReader(stdin).ReadString('\n')
		password = strings.TrimRight(password, "\r\n")
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(password) < minPasswordLength || len(password) > maxPasswordLength {
			return fmt.Errorf("the password, a line on standard input, has to have %d to %d characters", minPasswordLength, maxPasswordLength)
		}
		hashing, err := newPasswords(passwordParams)
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(c.addUser, "@")
		id, err := addUser(ctx, q, hashing, name, c.addUser, password)
		if db.IsUniqueViolation(err) {
			return fmt.Errorf("there is a user %s already", c.addUser)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, "user", id)
	}
	if c.addClient != "" {
		document, err := os.ReadFile(c.addClient)
		if err != nil {
			return err
		}
		r, err := parseApplication(document)
		if err != nil {
			return err
		}
		if r.ID == "" {
			r.ID = string(store.NewOAuthClientID())
		}
		minted := ""
		if method := r.params.TokenEndpointAuthMethod; r.Secret == "" && (method == nil || strings.HasPrefix(*method, "client_secret_")) {
			r.Secret = token.Mint(token.ClientSecret).Reveal()
			minted = r.Secret
		}
		created, err := register(ctx, q, r)
		if err != nil {
			return err
		}
		if !created {
			return fmt.Errorf("there is a client %s already", r.ID)
		}
		fmt.Fprintln(stdout, "client_id", r.ID)
		if minted != "" {
			fmt.Fprintln(stdout, "client_secret", minted)
		}
	}
	if c.addRegistrations != 0 {
		initial := token.Mint(token.InitialAccessToken)
		_, err := q.CreateInitialAccessToken(ctx, store.CreateInitialAccessTokenParams{
			ID: store.NewInitialAccessTokenID(), Token: initial.Digest(), MaxUses: int64(c.addRegistrations), Lifetime: registrationsLifetime,
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, "initial_access_token", initial.Reveal())
	}
	return nil
}

const minPasswordLength = 12
