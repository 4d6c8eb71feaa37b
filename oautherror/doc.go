// Package oautherror says which OAuth error an outcome of package store is. A server need not find one of its own:
//
//	row, err := q.RotateRefreshToken(ctx, params)
//	if err != nil {
//		// a failure of the database: 500, server_error
//	}
//	if refused := oautherror.For(oautherror.Token, oautherror.RotateRefreshToken, row.Outcome); refused != nil {
//		w.Header().Set("Content-Type", "application/json")
//		w.Header().Set("Cache-Control", "no-store")
//		w.WriteHeader(refused.Status)
//		json.NewEncoder(w).Encode(refused) // {"error":"invalid_grant"}
//		return
//	}
//
// A word such as expired is another error at another endpoint. The table in table.go therefore has an answer for each word, and the
// endpoints and calls that deviate from it, each with the reason. A test holds the table to the contracts of the calls.
//
// The package knows outcomes only. Errors that a server finds before it makes a call, such as a missing parameter or an unsupported
// grant type, are the server's.
package oautherror
