// Package zitadel serves the OpenID Provider of github.com/zitadel/oidc/v3 on oauthdb: a [Storage] that makes each of the library's
// requests one call of package store, and a [Provider], the library's own with what the interface leaves no room for.
//
//	storage, err := zitadel.New(pool, zitadel.Options{
//		SuccessorKeys:     [][]byte{successorKey},
//		KeyEncryptionKeys: [][]byte{keyEncryptionKey},
//		LoginURL:          func(id string) string { return "/login?id=" + url.QueryEscape(id) },
//	})
//	provider, err := zitadel.NewProvider(storage, &op.Config{CodeMethodS256: true, GrantTypeRefreshToken: true}, op.StaticIssuer(issuer))
//	mux.Handle("/", provider)
//
// The login page reads the request with [Storage.PendingRequest], signs the user in (store.CreateSession), asks for consent
// (store.CheckConsent, store.GrantConsent), and ends in [Provider.Approve] or [Provider.Deny].
package zitadel
