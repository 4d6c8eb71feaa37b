package importer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strconv"

	"github.com/oauthdb/oauthdb/store"
)

// UserFields are the columns of a CSV file, or the members of a JSON object, that say something of a user. Others are ignored.
var UserFields = []string{"id", "name", "email", "email_verified", "image", "password_hash"}

// Users reads users from JSON objects.
func Users(r io.Reader) iter.Seq2[Item, error] { return mapped(objects(r), user) }

// UsersCSV reads users from CSV whose first row names the columns.
func UsersCSV(r io.Reader) iter.Seq2[Item, error] { return mapped(rows(r), user) }

func user(o map[string]json.RawMessage) Item {
	m := members{o: o}
	id, name, email, image, hashed := m.text("id"), m.text("name"), m.text("email"), m.text("image"), m.text("password_hash")
	if id == nil {
		return Item{Refused: errors.New("id is missing: by it a record that is there already is known")}
	}
	refuse := func(err error) Item { return Item{ID: *id, Refused: err} }
	verified, err := truth(m.o["email_verified"])
	switch {
	case m.err != nil:
		return refuse(m.err)
	case err != nil:
		return refuse(err)
	case hashed != nil && !hash.MatchString(*hashed):
		return refuse(errors.New("password_hash is not a hash"))
	}
	p := store.CreateUserParams{ID: store.UserID(*id), Email: email, EmailVerified: verified && email != nil, Image: image}
	if name != nil {
		p.Name = *name
	}
	account := store.NewAccountID()
	return Item{ID: *id, Blind: true, Key: store.ConstraintUserPKey, Store: func(ctx context.Context, q *store.Queries) error {
		if _, err := q.CreateUser(ctx, p); err != nil || hashed == nil {
			return err
		}
		_, err := q.CreateAccount(ctx, store.CreateAccountParams{
			ID: account, AccountID: *id, ProviderID: "credential", UserID: p.ID, Password: hashed,
		})
		return err
	}}
}

// truth reads true or false, also as CSV has them.
func truth(raw json.RawMessage) (bool, error) {
	if raw == nil || string(raw) == "null" {
		return false, nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, errors.New("email_verified is neither true nor false")
	}
	return value, nil
}
