package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// chapters is the story. A later chapter goes on with what an earlier one has left.
func (w *walk) chapters() []chapter {
	photos, lasting := &grant{}, &grant{}
	return []chapter{
		w.registration(),
		w.signIn(),
		w.authorization(photos),
		w.redemption(photos),
		w.refresh(photos),
		w.stolenToken(photos),
		w.stolenCode(),
		w.machine(),
		w.newSecret(),
		w.movingIn(),
		w.signOut(lasting),
		w.withdrawal(lasting),
		w.suspension(),
		w.collection(),
		w.farewell(),
	}
}

func (w *walk) registration() chapter {
	register := func(document string, app *application) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			text, err := documents.ReadFile("clients/" + document)
			if err != nil {
				return "", err
			}
			metadata, err := registration.Parse(text)
			if err != nil {
				return "", err
			}
			app.CreateClientParams = metadata.CreateClientParams()
			app.ID, app.ClientID = store.NewOAuthClientID(), store.NewClientID()
			if method := app.TokenEndpointAuthMethod; method != nil && strings.HasPrefix(*method, "client_secret_") {
				app.secret = token.Mint(token.ClientSecret)
				app.ClientSecret = new(app.secret.Digest())
			}
			_, err = w.calls.CreateClient(ctx, app.CreateClientParams)
			return "created", err
		}
	}
	return chapter{
		heading: "Three applications register",
		text: []string{
			"Each hands in a document (RFC 7591) that says what it is called, where users are sent back to, and what it may ask for.",
			"The documents are in cmd/oauthdb/clients. Members that have no column of their own are kept as metadata.",
		},
		steps: []step{
			call("created", "Framed prints photos: a web site, which can keep a secret", register("web.json", &w.framed)),
			call("created", "Pocket Album: an app on a phone, which can't", register("native.json", &w.album)),
			call("created", "Nightly Backup: a machine, which has a key of its own", register("machine.json", &w.backup)),
			call("found", "the row says all that Framed's document said", func(ctx context.Context) (string, error) {
				row, err := w.calls.GetClient(ctx, w.framed.ClientID)
				if err == nil {
					err = sameClient(row, w.framed.CreateClientParams)
				}
				return found(err, "found", "none")
			}),
			call("refused", "a client_id is given once: the constraint that says so has a name", func(ctx context.Context) (string, error) {
				twin := w.album.CreateClientParams
				twin.ID = store.NewOAuthClientID()
				_, err := w.calls.CreateClient(ctx, twin)
				if db.Violates(err, store.ConstraintOAuthClientClientIDUIdx) {
					return "refused", nil
				}
				return "created", err
			}),
		},
	}
}

func (w *walk) signIn() chapter {
	const email = "ada@example.com"
	var library token.Raw
	// As a hasher for passwords writes it. What is in it is no business of the database layer.
	const hash = "$argon2id$v=19$m=19456,t=2,p=1$Zm9yIHNob3cgb25seQ$bm90IHRoZSBoYXNoIG9mIGEgcGFzc3dvcmQgYXQgYWxs"
	return chapter{
		heading: "Ada signs up and signs in",
		text:    []string{"A user, a way to sign in, and browsers that are signed in. Of a browser's cookie the database holds a digest only."},
		steps: []step{
			call("created", "Ada, with her address", func(ctx context.Context) (string, error) {
				w.ada = store.NewUserID()
				_, err := w.calls.CreateUser(ctx, store.CreateUserParams{ID: w.ada, Name: "Ada Example", Email: new(email), EmailVerified: true})
				return "created", err
			}),
			call("created", "her password, as a hash", func(ctx context.Context) (string, error) {
				_, err := w.calls.CreateAccount(ctx, store.CreateAccountParams{
					ID: store.NewAccountID(), AccountID: string(w.ada), ProviderID: "credential", UserID: w.ada, Password: new(hash),
				})
				return "created", err
			}),
			call("found", "she signs in as ADA@EXAMPLE.COM: one address, whatever its case", func(ctx context.Context) (string, error) {
				row, err := w.calls.FindCredentialAccountByEmail(ctx, strings.ToUpper(email))
				if err == nil && (row.User.ID != w.ada || row.Account.Password == nil || *row.Account.Password != hash) {
					return "", untrue("it found another account")
				}
				return found(err, "found", "none")
			}),
			call("created", "at a library, where she forgets to sign out", w.createSession(2, 0)),
			call("found", "the cookie comes back: it is Ada's", func(ctx context.Context) (string, error) {
				library = w.cookie
				return w.findSession(func() token.Raw { return library })(ctx)
			}),
			call("created", "on her phone", w.createSession(2, 0)),
			call("created", "at home; two are allowed, so the oldest ends", w.createSession(2, 1)),
			call("none", "the cookie at the library is worth nothing", w.findSession(func() token.Raw { return library })),
		},
	}
}

func (w *walk) authorization(g *grant) chapter {
	asked := []string{"openid", "profile", "photos.read", "offline_access"}
	granted := []string{"openid", "photos.read", "offline_access"}
	reference := token.Mint(token.RequestURI)
	take := func(ctx context.Context) (string, error) {
		row, err := w.calls.TakeAuthorizationByRequestURI(ctx, store.TakeAuthorizationByRequestURIParams{
			RequestURI: reference.Digest(), ClientID: w.framed.ClientID, Lifetime: requestLifetime,
		})
		if err == nil && row.ID != g.id {
			return "", untrue("it took another request")
		}
		return found(err, "taken", "none")
	}
	approve := func(ctx context.Context) (string, error) {
		code := token.Mint(token.AuthorizationCode)
		row, err := w.calls.ApproveAuthorization(ctx, store.ApproveAuthorizationParams{
			ID: g.id, UserID: w.ada, SessionID: &w.session, GrantedScopes: granted, AuthTime: new(time.Now()), AMR: []string{"pwd"},
			Code: new(code.Digest()), CodeLifetime: codeLifetime,
		})
		if err == nil && (row.Outcome == store.OutcomeApproved || row.Outcome == store.OutcomeRetried) {
			g.code = code
		}
		return string(row.Outcome), err
	}
	return chapter{
		heading: "Framed asks for Ada's photos",
		text: []string{
			"Framed sends its request to the server beforehand (a pushed request, RFC 9126), so that Ada's browser carries only a",
			"reference to it, and nothing that could be tampered with. Then Ada is asked.",
		},
		steps: []step{
			call("unauthenticated", "somebody claims to be Framed, with a wrong secret",
				w.authenticate(&w.framed, func() token.Raw { return token.Mint(token.ClientSecret) })),
			call("authenticated", "Framed, with its own",
				w.authenticate(&w.framed, func() token.Raw { return w.framed.secret })),
			call("created", "it pushes its request, with a PKCE challenge (RFC 7636)", func(ctx context.Context) (string, error) {
				g.id, g.verifier = store.NewAuthorizationID(), newVerifier()
				row, err := w.calls.CreateAuthorization(ctx, store.CreateAuthorizationParams{
					ID: g.id, ClientID: w.framed.ClientID, RedirectURI: &w.framed.RedirectURIs[0], ResponseType: new("code"), Scopes: asked,
					State: new("af0ifjsldkj"), Nonce: new("n-0S6_WzA2Mj"),
					CodeChallenge: new(token.S256(g.verifier)), CodeChallengeMethod: new("S256"),
					Request:    json.RawMessage(`{"prompt": "consent", "ui_locales": "de en"}`),
					RequestURI: new(reference.Digest()), RequestURILifetime: requestLifetime, Lifetime: requestLifetime,
				})
				return string(row.Outcome), err
			}),
			call("taken", "Ada's browser arrives with the reference", take),
			call("missing", "has Ada agreed to this before? No: she is asked", w.checkConsent(&w.framed, granted, granted)),
			call("granted", "she agrees to most of it, and keeps her profile to herself", w.grantConsent(&w.framed, granted...)),
			call("covered", "from now on she need not be asked again", w.checkConsent(&w.framed, granted, nil)),
			call("approved", "the request is approved, and gets a code", approve),
			call("retried", "a second click: another code, which replaces the first", approve),
		},
	}
}

func (w *walk) redemption(g *grant) chapter {
	return chapter{
		heading: "The code becomes tokens",
		text: []string{
			"The code comes back through the browser, where others may see it. So it is worth nothing without what only Framed",
			"knows: the verifier, from which the challenge was made.",
		},
		steps: []step{
			call("mismatched", "somebody has seen the code, but not the verifier", func(ctx context.Context) (string, error) {
				return w.redeem(&w.framed, &grant{code: g.code, verifier: newVerifier()})(ctx)
			}),
			call("redeemed", "Framed has both, and gets an access and a refresh token", w.redeem(&w.framed, g)),
			call("retried", "the answer got lost: the very same call, and the same answer", w.redeemAgain(g)),
			call("active", "an API asks: whose token is this, and for what?",
				w.introspect(func() token.Raw { return g.access }, func(row store.IntrospectAccessTokenRow) bool {
					return row.ClientID != nil && *row.ClientID == w.framed.ClientID && row.UserID != nil && *row.UserID == w.ada &&
						slices.Equal(row.Scopes, []string{"openid", "photos.read", "offline_access"})
				})),
		},
	}
}

func (w *walk) refresh(g *grant) chapter {
	lost := &grant{} // the answer that never arrived
	return chapter{
		heading: "The access token is refreshed",
		text: []string{
			"Each refresh replaces the refresh token too. But answers get lost, and phones wake up twice: clients retry, and a retry",
			"must not throw the user out. The successor derives from the token presented, so that every retry gets the same one.",
		},
		steps: []step{
			call("invalid_scope", "Framed asks for Ada's profile after all: refused, nothing changes", func(ctx context.Context) (string, error) {
				return w.rotate(ctx, &w.framed, g.refresh, &grant{}, "openid", "profile")
			}),
			call("rotated", "it asks for no more than it has, but the answer gets lost", func(ctx context.Context) (string, error) {
				return w.rotate(ctx, &w.framed, g.refresh, lost)
			}),
			call("retried", "so it tries again, and gets the same refresh token", func(ctx context.Context) (string, error) {
				again := &grant{}
				outcome, err := w.rotate(ctx, &w.framed, g.refresh, again)
				if err == nil && !again.refresh.Equal(lost.refresh) {
					return outcome, untrue("the two answers differ")
				}
				g.stolen, g.access, g.refresh = g.refresh, again.access, again.refresh
				return outcome, err
			}),
			call("active", "and a new access token, which works", w.introspect(func() token.Raw { return g.access }, nil)),
			call("rotated", "later it uses that refresh token in its turn", func(ctx context.Context) (string, error) {
				return w.rotate(ctx, &w.framed, g.refresh, g)
			}),
			call("active", "the newest is the one that is left", func(ctx context.Context) (string, error) {
				row, err := w.calls.IntrospectToken(ctx, store.IntrospectTokenParams{Token: g.refresh.Digest(), ClientAuthMethod: "server"})
				if err == nil && (row.Kind == nil || *row.Kind != store.TokenKindRefreshToken) {
					return "", untrue("it is no refresh token")
				}
				return string(row.Outcome), err
			}),
		},
	}
}

func (w *walk) stolenToken(g *grant) chapter {
	return chapter{
		heading: "A stolen refresh token turns up",
		text: []string{
			"It was spent long ago, and so was its successor: whoever presents it now has a copy, or has been copied. Nobody can tell",
			"which, so all that descends from the grant ends (RFC 9700, section 4.14.2): the family, by one row.",
		},
		steps: []step{
			call("replayed", "the thief presents the first refresh token", func(ctx context.Context) (string, error) {
				return w.rotate(ctx, &w.framed, g.stolen, &grant{})
			}),
			call("inactive", "the access token that Framed holds", w.introspect(func() token.Raw { return g.access }, nil)),
			call("inactive", "its refresh token", func(ctx context.Context) (string, error) {
				row, err := w.calls.IntrospectRefreshToken(ctx, store.IntrospectRefreshTokenParams{Token: g.refresh.Digest(), ClientAuthMethod: "server"})
				return string(row.Outcome), err
			}),
			call("revoked", "it cannot refresh either, and has to send Ada to sign in again", func(ctx context.Context) (string, error) {
				return w.rotate(ctx, &w.framed, g.refresh, &grant{})
			}),
			call("found", "the evidence stays: when the family was revoked, and why", func(ctx context.Context) (string, error) {
				row, err := w.calls.GetAuthorization(ctx, g.id)
				if err == nil && (row.RevokedReason == nil || *row.RevokedReason != store.RevocationReasonRefreshTokenReused) {
					return "", untrue("it does not say refresh_token_reused")
				}
				return found(err, "found", "none")
			}),
		},
	}
}

func (w *walk) stolenCode() chapter {
	g := &grant{}
	return chapter{
		heading: "A stolen code turns up",
		text: []string{
			"Pocket Album proves with each request that it holds a key (DPoP, RFC 9449), and its tokens are bound to that. Its code is",
			"presented twice: one of the two is a thief, and again everything ends (RFC 6749, section 4.1.2).",
		},
		steps: []step{
			call("granted", "Ada agrees to what Pocket Album asks for", w.grantConsent(&w.album, "openid", "photos.read", "photos.write", "offline_access")),
			call("granted", "a request that is covered is approved at once, with its code", w.grant(&w.album, g, "openid", "photos.write", "offline_access")),
			call("redeemed", "Pocket Album gets its tokens", func(ctx context.Context) (string, error) {
				w.album.key = &token.Confirmation{JKT: string(token.DigestOf("the thumbprint of a key on Ada's phone"))}
				return w.redeem(&w.album, g)(ctx)
			}),
			call("active", "the API is told the key, too", w.introspect(func() token.Raw { return g.access }, func(row store.IntrospectAccessTokenRow) bool {
				return row.ClientID != nil && *row.ClientID == w.album.ClientID && row.Confirmation != nil && *row.Confirmation == *w.album.key
			})),
			call("mismatched", "a refresh with another key is refused", func(ctx context.Context) (string, error) {
				thief := w.album
				thief.key = &token.Confirmation{JKT: string(token.DigestOf("the thumbprint of the thief's key"))}
				return w.rotate(ctx, &thief, g.refresh, &grant{})
			}),
			call("replayed", "the same code once more", func(ctx context.Context) (string, error) {
				return w.redeem(&w.album, &grant{code: g.code, verifier: g.verifier})(ctx)
			}),
			call("inactive", "the tokens that it was exchanged for", func(ctx context.Context) (string, error) {
				row, err := w.calls.IntrospectToken(ctx, store.IntrospectTokenParams{Token: g.access.Digest(), ClientAuthMethod: "server"})
				return string(row.Outcome), err
			}),
		},
	}
}

func (w *walk) machine() chapter {
	var access token.Raw
	jti := newVerifier()
	present := func(ctx context.Context) (string, error) {
		outcome, err := w.calls.RememberClientAssertion(ctx, store.RememberClientAssertionParams{
			ID: token.AssertionID(string(w.backup.ClientID), jti), ExpiresAt: time.Now().Add(time.Minute).Unix(), MaxLifetime: time.Hour,
		})
		return string(outcome), err
	}
	issue := func(scopes ...string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			access = token.Mint(token.AccessToken)
			row, err := w.calls.IssueAccessToken(ctx, store.IssueAccessTokenParams{
				ClientID: w.backup.ClientID, ClientAuthMethod: w.backup.method(),
				ID: store.NewAccessTokenID(), Scopes: scopes, AccessToken: new(access.Digest()), Lifetime: accessLifetime,
			})
			return string(row.Outcome), err
		}
	}
	introspect := w.introspect(func() token.Raw { return access }, func(row store.IntrospectAccessTokenRow) bool {
		return row.ClientID != nil && *row.ClientID == w.backup.ClientID && row.UserID == nil
	})
	revoke := func(ctx context.Context) (string, error) {
		row, err := w.calls.RevokeToken(ctx, store.RevokeTokenParams{
			ClientID: w.backup.ClientID, ClientAuthMethod: w.backup.method(), Token: access.Digest(),
		})
		return string(row.Outcome), err
	}
	return chapter{
		heading: "A machine acts for itself",
		text: []string{
			"Nightly Backup has no user and no secret. It signs an assertion of who it is with its key (RFC 7523), good for one use,",
			"and gets a token of its own (client credentials, RFC 6749, section 4.4).",
		},
		steps: []step{
			call("remembered", "the assertion has not been seen before", present),
			call("proof_replayed", "somebody replays it: refused", present),
			call("invalid_scope", "Nightly Backup asks for more than it is registered for", issue("photos.export", "photos.write")),
			call("issued", "it asks for what it may have", issue("photos.export")),
			call("active", "a token of Nightly Backup, and of no user", introspect),
			call("ended", "an administrator disables Nightly Backup", func(ctx context.Context) (string, error) {
				outcome, err := w.calls.DisableClient(ctx, w.backup.ClientID)
				return string(outcome), err
			}),
			call("inactive", "it takes effect at once, on tokens already issued too", introspect),
			call("enabled", "a false alarm", func(ctx context.Context) (string, error) {
				outcome, err := w.calls.EnableClient(ctx, w.backup.ClientID)
				return string(outcome), err
			}),
			call("active", "they work again", introspect),
			call("ended", "its work done, Nightly Backup hands the token back (RFC 7009)", revoke),
			call("revoked", "a second time there is nothing to end", revoke),
			call("inactive", "the token that it handed back", introspect),
		},
	}
}

func (w *walk) newSecret() chapter {
	var first, second token.Raw
	renew := func(overlap time.Duration, secret *token.Raw) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			*secret = token.Mint(token.ClientSecret)
			outcome, err := w.calls.RotateClientSecret(ctx, store.RotateClientSecretParams{
				ClientID: w.framed.ClientID, ClientSecret: secret.Digest(), Lifetime: store.Never, Overlap: overlap,
			})
			return string(outcome), err
		}
	}
	return chapter{
		heading: "A secret is changed without an outage",
		text:    []string{"Framed runs on many machines, and they can't all learn a new secret in the same instant. So both are good for a while."},
		steps: []step{
			call("rotated", "a new secret; the one before stays good for an hour", renew(time.Hour, &first)),
			call("authenticated", "a machine with the one before",
				w.authenticate(&w.framed, func() token.Raw { return w.framed.secret })),
			call("authenticated", "a machine with the new one", w.authenticate(&w.framed, func() token.Raw { return first })),
			call("rotated", "that one has leaked: the next replaces it at once", renew(0, &second)),
			call("unauthenticated", "whoever found the leaked one", w.authenticate(&w.framed, func() token.Raw { return first })),
			call("authenticated", "a machine with the newest", w.authenticate(&w.framed, func() token.Raw {
				w.framed.secret = second
				return second
			})),
		},
	}
}

func (w *walk) movingIn() chapter {
	// They have no prefix of ours, and are taken as they are.
	used, idle := foreign("qXbMzVtLhRkWcYpNsJfDgTaQeUoIyZxB"), foreign("hGfDsAzXcVbNmQwErTyUiOpLkJhGfDsA")
	families := map[token.Digest]store.AuthorizationID{}
	ask := func(raw token.Raw) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			row, err := w.calls.IntrospectRefreshToken(ctx, store.IntrospectRefreshTokenParams{Token: raw.Digest(), ClientAuthMethod: "server"})
			if err == nil && row.Outcome == store.OutcomeActive {
				if row.AuthorizationID == nil {
					return "", untrue("it has no family")
				}
				families[raw.Digest()] = *row.AuthorizationID
			}
			return string(row.Outcome), err
		}
	}
	return chapter{
		heading: "Tokens of another server move in",
		text: []string{
			"A better-auth server may have been here before, or work beside this one: the tables and digests are the same. What it",
			"issued goes on, without a new sign-in. It knows no families, so a trigger gives each of its tokens one.",
		},
		steps: []step{
			aside("done", "the other server writes a refresh token", w.elsewhere(&w.framed, used, "openid photos.read offline_access")),
			aside("done", "and another", w.elsewhere(&w.framed, idle, "openid photos.read offline_access")),
			call("active", "the first has a family", ask(used)),
			call("active", "so has the second", ask(idle)),
			call("rotated", "Framed refreshes the first here, in the same family", func(ctx context.Context) (string, error) {
				g := &grant{}
				outcome, err := w.rotate(ctx, &w.framed, used, g)
				if err == nil && g.id != families[used.Digest()] {
					return outcome, untrue("it is another family")
				}
				return outcome, err
			}),
			call("listed", "all of Ada's grants now: these two", func(ctx context.Context) (string, error) {
				rows, err := w.calls.ListUserAuthorizations(ctx, store.ListUserAuthorizationsParams{UserID: w.ada, PageSize: 100})
				if err == nil && len(rows) != 2 {
					return "", untrue("there are %d", len(rows))
				}
				return "listed", err
			}),
			call("ended", "the second grant is ended here", func(ctx context.Context) (string, error) {
				row, err := w.calls.RevokeAuthorization(ctx, families[idle.Digest()])
				return string(row.Outcome), err
			}),
			aside("no row", "the other server can't refresh it either: its UPDATE finds", w.spendElsewhere(idle)),
		},
	}
}

// foreign is a refresh token that another server made.
func foreign(text string) token.Raw {
	raw, err := token.ParseForeign(token.RefreshToken, text)
	if err != nil {
		panic(err) // a constant
	}
	return raw
}

func (w *walk) signOut(lasting *grant) chapter {
	brief := &grant{}
	return chapter{
		heading: "Ada signs out",
		text: []string{
			"On a friend's computer she has used both applications. What was granted in a session ends with it, unless she had agreed",
			"to offline_access. Whoever was part of the session is remembered, so that it can be told (back-channel logout).",
		},
		steps: []step{
			call("created", "Ada signs in on the friend's computer", w.createSession(0, 0)),
			call("granted", "Framed, for this session only", w.grant(&w.framed, brief, "openid", "photos.read")),
			call("redeemed", "its tokens", w.redeem(&w.framed, brief)),
			call("granted", "Pocket Album, with offline_access", w.grant(&w.album, lasting, "openid", "photos.read", "offline_access")),
			call("redeemed", "its tokens", w.redeem(&w.album, lasting)),
			call("ended", "she signs out", func(ctx context.Context) (string, error) {
				row, err := w.calls.EndSession(ctx, w.session)
				return string(row.Outcome), err
			}),
			call("listed", "Framed is to be told; Pocket Album has no address for that", func(ctx context.Context) (string, error) {
				rows, err := w.calls.ListSessionClients(ctx, w.session)
				if err == nil && (len(rows) != 2 || rows[0].ClientID != w.framed.ClientID || rows[1].ClientID != w.album.ClientID ||
					rows[0].DueAt == nil || rows[1].DueAt != nil) {
					return "", untrue("it names %d clients, or others, or others are due", len(rows))
				}
				return "listed", err
			}),
			call("none", "the cookie is worth nothing", w.findSession(func() token.Raw { return w.cookie })),
			call("inactive", "what Framed was given", w.introspect(func() token.Raw { return brief.access }, nil)),
			call("active", "what Pocket Album was given", w.introspect(func() token.Raw { return lasting.access }, nil)),
		},
	}
}

func (w *walk) withdrawal(g *grant) chapter {
	withdraw := func(ctx context.Context) (string, error) {
		row, err := w.calls.WithdrawConsent(ctx, store.WithdrawConsentParams{ClientID: w.album.ClientID, UserID: w.ada})
		return string(row.Outcome), err
	}
	return chapter{
		heading: "Ada changes her mind",
		text:    []string{"Her settings page shows what she has agreed to. She takes back what Pocket Album may do, and with it all that rested on it."},
		steps: []step{
			call("listed", "the settings page: Framed and Pocket Album", func(ctx context.Context) (string, error) {
				rows, err := w.calls.ListUserConsents(ctx, store.ListUserConsentsParams{UserID: w.ada, PageSize: 100})
				if err == nil && (len(rows) != 2 || rows[0].ClientID != w.framed.ClientID || rows[1].ClientID != w.album.ClientID) {
					return "", untrue("it lists %d consents, or others", len(rows))
				}
				return "listed", err
			}),
			call("withdrawn", "she withdraws one: the consent, and what was granted under it", withdraw),
			call("inactive", "what Pocket Album was given", w.introspect(func() token.Raw { return g.access }, nil)),
			call("missing", "next time, the server asks her again",
				w.checkConsent(&w.album, []string{"openid", "photos.read"}, []string{"openid", "photos.read"})),
			call("ended", "a second click finds no consent", withdraw),
		},
	}
}

func (w *walk) suspension() chapter {
	g := &grant{}
	return chapter{
		heading: "Ada's account is suspended",
		text: []string{
			"Somebody else may be using it. One row says so; that nothing of hers is live follows from it, whatever the number of her",
			"tokens, and a grant that is on its way at this very moment is as dead as the others.",
		},
		steps: []step{
			call("created", "Ada signs in", w.createSession(0, 0)),
			call("granted", "Framed, with offline_access", w.grant(&w.framed, g, "openid", "photos.read", "offline_access")),
			call("redeemed", "its tokens", w.redeem(&w.framed, g)),
			call("active", "its access token", w.introspect(func() token.Raw { return g.access }, nil)),
			call("ended", "an administrator suspends her: three browsers are signed out", func(ctx context.Context) (string, error) {
				row, err := w.calls.SuspendUser(ctx, w.ada)
				if err == nil && row.Sessions != 3 {
					return "", untrue("%d sessions ended", row.Sessions)
				}
				return string(row.Outcome), err
			}),
			call("inactive", "Framed's access token", w.introspect(func() token.Raw { return g.access }, nil)),
			call("none", "her cookie", w.findSession(func() token.Raw { return w.cookie })),
			call("suspended", "she can't sign in", w.createSession(0, 0)),
			call("reinstated", "a false alarm: it was Ada herself", func(ctx context.Context) (string, error) {
				outcome, err := w.calls.ReinstateUser(ctx, w.ada)
				return string(outcome), err
			}),
			call("inactive", "what has ended does not come back", w.introspect(func() token.Raw { return g.access }, nil)),
			call("revoked", "so Framed cannot refresh", func(ctx context.Context) (string, error) {
				return w.rotate(ctx, &w.framed, g.refresh, &grant{})
			}),
			call("missing", "and has to ask her again", w.checkConsent(&w.framed, []string{"openid"}, []string{"openid"})),
		},
	}
}

func (w *walk) collection() chapter {
	const batch = 1000
	refreshTokens := func(ctx context.Context) (string, error) {
		row, err := w.calls.DeleteExpiredRefreshTokens(ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: batch, Retention: month})
		return collected(row.Deleted, err)
	}
	return chapter{
		heading: "Time passes, and what has expired is collected",
		text: []string{
			"In batches of a bounded size, which skip what is in use. Spent tokens and ended families are kept for a while (here a",
			"month): they are the evidence by which a stolen token is recognised. `oauthdb gc` makes these calls, and some more.",
		},
		steps: []step{
			aside("done", "40 days pass, by moving every expiry in the demo's database", w.pass(40*24*time.Hour)),
			call("collected", "access tokens, and they are no evidence", func(ctx context.Context) (string, error) {
				row, err := w.calls.DeleteExpiredAccessTokens(ctx, store.DeleteExpiredAccessTokensParams{BatchSize: batch})
				return collected(row.Deleted, err)
			}),
			call("kept", "refresh tokens: not yet", refreshTokens),
			aside("done", "another 40 days pass", w.pass(40*24*time.Hour)),
			call("collected", "refresh tokens", refreshTokens),
			call("marked", "families that are over, though their rows don't say so yet", w.markDead),
			call("collected", "families that were ended long ago", w.deleteEnded(month)),
			call("collected", "grants are detached from sessions that are over,", w.deleteSessions),
			call("collected", "and Ada's sessions go", w.deleteSessions),
			call("collected", "the consent that her suspension has ended", func(ctx context.Context) (string, error) {
				row, err := w.calls.DeleteDeadConsents(ctx, store.DeleteDeadConsentsParams{PageSize: batch})
				return collected(row.Deleted, err)
			}),
			call("collected", "the machine's assertion", func(ctx context.Context) (string, error) {
				row, err := w.calls.DeleteExpiredClientAssertions(ctx, store.DeleteExpiredClientAssertionsParams{BatchSize: batch})
				return collected(row.Deleted, err)
			}),
			call("collected", "Framed's secret that was good for an hour more", func(ctx context.Context) (string, error) {
				row, err := w.calls.DeleteExpiredClientSecrets(ctx, store.DeleteExpiredClientSecretsParams{BatchSize: batch})
				return collected(row.Deleted, err)
			}),
			aside("done", "another 40 days pass", w.pass(40*24*time.Hour)),
			call("collected", "the families that were marked", w.deleteEnded(month)),
			aside("user 1, account 1, session 0, client 3, consent 0, authorization 0, refresh token 0, access token 0", "rows that are left", w.remaining),
		},
	}
}

func (w *walk) farewell() chapter {
	g := &grant{}
	return chapter{
		heading: "Ada leaves",
		text: []string{
			"Once more she signs in and lets Framed see her photos. Then she deletes her account: from that moment all that is hers is",
			"dead, her row says nothing of her any more, and the collector erases it in small steps.",
		},
		steps: []step{
			call("created", "Ada signs in", w.createSession(0, 0)),
			call("granted", "she agrees", w.grantConsent(&w.framed, "openid", "photos.read", "offline_access")),
			call("granted", "Framed asks", w.grant(&w.framed, g, "openid", "photos.read", "offline_access")),
			call("redeemed", "its tokens", w.redeem(&w.framed, g)),
			aside("user 1, account 1, session 1, client 3, consent 1, authorization 1, refresh token 1, access token 1", "rows before", w.remaining),
			call("deleted", "she deletes her account", func(ctx context.Context) (string, error) {
				row, err := w.calls.DeleteUser(ctx, w.ada)
				return string(row.Outcome), err
			}),
			call("inactive", "the access token that Framed still holds", w.introspect(func() token.Raw { return g.access }, nil)),
			call("none", "her address is nobody's, and can be used again", func(ctx context.Context) (string, error) {
				_, err := w.calls.FindUserByEmail(ctx, "ada@example.com")
				return found(err, "found", "none")
			}),
			call("marked", "the collector finds that her families are dead", w.markDead),
			call("collected", "it erases access tokens,", w.deleteEnded(0)),
			call("collected", "refresh tokens,", w.deleteEnded(0)),
			call("collected", "families,", w.deleteEnded(0)),
			call("collected", "sessions,", w.deleteSessions),
			call("collected", "consents,", w.eraseUsers),
			call("collected", "and her row", w.eraseUsers),
			aside("user 0, account 0, session 0, client 3, consent 0, authorization 0, refresh token 0, access token 0", "rows after", w.remaining),
		},
	}
}

func (w *walk) markDead(ctx context.Context) (string, error) {
	row, err := w.calls.MarkDeadAuthorizations(ctx, store.MarkDeadAuthorizationsParams{PageSize: 1000})
	if row.Marked == 0 {
		return "kept", err
	}
	return "marked", err
}

func (w *walk) deleteEnded(retention time.Duration) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		row, err := w.calls.DeleteEndedAuthorizations(ctx, store.DeleteEndedAuthorizationsParams{Retention: retention, BatchSize: 1000})
		return collected(row.AccessTokens+row.RefreshTokens+row.Authorizations, err)
	}
}

func (w *walk) deleteSessions(ctx context.Context) (string, error) {
	row, err := w.calls.DeleteExpiredSessions(ctx, store.DeleteExpiredSessionsParams{BatchSize: 1000})
	return collected(row.Deleted+row.Detached, err)
}

func (w *walk) eraseUsers(ctx context.Context) (string, error) {
	row, err := w.calls.EraseDeletedUsers(ctx, store.EraseDeletedUsersParams{BatchSize: 1000})
	return collected(row.Deleted+row.Cleared, err)
}
