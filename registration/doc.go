// Package registration reads the registration documents of clients and writes them: the JSON objects of RFC 7591, section 2, RFC 7592,
// OpenID Connect Dynamic Client Registration 1.0, and of client ID metadata documents.
//
//	metadata, err := registration.Parse(body)
//	var refused *registration.Error
//	if errors.As(err, &refused) {
//		// answer 400 with refused.Code as error and refused.Error() as error_description (RFC 7591, section 3.2.2)
//	}
//	p := metadata.RegisterClientParams()
//	p.ID, p.ClientID = store.NewOAuthClientID(), store.NewClientID()
//	row, err := queries.RegisterClient(ctx, p)
//
// Parse looks at the form alone: which member is there and of which type. Whether the metadata are fit for registration is decided by the
// calls of package store. What a document leaves out stays nil, and gets its default there.
package registration
