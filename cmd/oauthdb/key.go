package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

var keyCommands = []command{keyListCommand, keyRotateCommand, keyRetireCommand, keyAddCommand, keyDeleteCommand}

// keyRecord is a signing key as commands print it: never the private key, not even as ciphertext.
type keyRecord struct {
	KeyID         store.SigningKeyID `json:"key_id"` // kid
	Alg           *string            `json:"alg"`
	CreatedAt     time.Time          `json:"created_at"`
	ExpiresAt     *time.Time         `json:"expires_at"` // when it is no longer published; null while it may sign
	PrivateKeyURI *string            `json:"private_key_uri"`
	PublicKey     json.RawMessage    `json:"public_key"` // the JSON Web Key
}

func newKeyRecord(k store.SigningKey) keyRecord {
	public := json.RawMessage(k.PublicKey)
	if !json.Valid(public) {
		public, _ = json.Marshal(k.PublicKey)
	}
	return keyRecord{
		KeyID: k.ID, Alg: k.Alg, CreatedAt: utc(k.CreatedAt), ExpiresAt: optionalUTC(k.ExpiresAt), PrivateKeyURI: k.PrivateKeyURI, PublicKey: public,
	}
}

func (r keyRecord) cells() []string {
	state := "may sign"
	if r.ExpiresAt != nil {
		state = "published until " + timeText(*r.ExpiresAt)
	}
	return []string{printable(string(r.KeyID)), optional(r.Alg), timeText(r.CreatedAt), state}
}

var keyListCommand = command{
	name:    "key list",
	summary: "list the keys that are published, newest first",
	record:  keyRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		return func(ctx context.Context, c console) error {
			return r.run(ctx, c, func(q *store.Queries) error {
				rows, err := q.ListSigningKeys(ctx)
				if err != nil {
					return err
				}
				return list(&r.printer, c.out, "KEY_ID ALG CREATED STATE", func() (page []keyRecord, _ error) {
					for _, row := range rows {
						page = append(page, newKeyRecord(row))
					}
					rows = nil
					return page, nil
				})
			})
		}
	},
}

// publishedFor is how long a key that signs no more is still published.
func publishedFor(flags *flag.FlagSet) *time.Duration {
	return flags.Duration("published-for", 0, "how `long` to publish it still: as long as the last token that it signed lives")
}

var keyRotateCommand = command{
	name:    "key rotate",
	summary: "retire the keys that sign, so that servers make a new one",
	details: `Servers encrypt private keys by a key of their own, which this command doesn't have, so it can't make the new key. It retires all
keys of the algorithm that may sign. A server that next looks for one finds none, and stores a new one, which signs at once: of many
servers, one (RotateSigningKeyIfDue). adapters/zitadel looks once a minute. A verifier that caches the published keys fetches them anew
when it meets a key that it doesn't know.

This is for a key that has to go. Servers that rotate by age, as adapters/zitadel does with RotateSigningKey, publish the new key first.`,
	record: change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		alg := flags.String("alg", "", "`algorithm` of the keys, such as ES256")
		lifetime := publishedFor(flags)
		return func(ctx context.Context, c console) error {
			if *alg == "" || *lifetime < time.Second {
				return usage("key rotate: pass -alg, and -published-for, of a second or more")
			}
			ch.together = true
			return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
				keys, err := q.ListSigningKeys(ctx)
				if err != nil {
					return change{}, err
				}
				done := change{Outcome: store.OutcomeRotated}
				for _, k := range keys {
					if k.ExpiresAt != nil || k.Alg == nil || *k.Alg != *alg {
						continue
					}
					retired, err := q.RetireSigningKey(ctx, store.RetireSigningKeyParams{ID: k.ID, Lifetime: *lifetime})
					if db.IsNotFound(err) {
						continue // deleted meanwhile
					}
					if err != nil {
						return change{}, err
					}
					done.KeyIDs, done.ExpiresAt = append(done.KeyIDs, k.ID), optionalUTC(retired.ExpiresAt)
				}
				if len(done.KeyIDs) == 0 {
					return change{}, notFound("no key of the algorithm %q may sign", *alg)
				}
				done.Says = fmt.Sprintf("%s until %s; the server that signs next makes a new one",
					plural(len(done.KeyIDs), "key is retired, and published", "keys are retired, and published"), timeText(*done.ExpiresAt))
				return done, nil
			})
		}
	},
}

var keyRetireCommand = command{
	name:    "key retire",
	operand: "KEY",
	summary: "stop a key from signing, and publish it for some time still",
	details: "An expiry that is set already is never postponed. If no other key may sign, servers make one: see 'oauthdb help key rotate'.",
	record:  change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		lifetime := publishedFor(flags)
		return func(ctx context.Context, c console) error {
			if *lifetime < time.Second {
				return usage("key retire: pass -published-for, of a second or more; 'key delete' ends it at once")
			}
			return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
				k, err := q.RetireSigningKey(ctx, store.RetireSigningKeyParams{ID: store.SigningKeyID(flags.Arg(0)), Lifetime: *lifetime})
				if db.IsNotFound(err) {
					return change{}, noSuch("key", flags.Arg(0))
				}
				if err != nil {
					return change{}, err
				}
				return change{
					Outcome: store.OutcomeEnded, KeyID: k.ID, ExpiresAt: optionalUTC(k.ExpiresAt),
					Says: "the key signs no more, and is published until " + timeText(*k.ExpiresAt),
				}, nil
			})
		}
	},
}

var keyAddCommand = command{
	name:    "key add",
	operand: "FILE",
	summary: "publish a key whose private part is elsewhere, or encrypted already",
	details: `FILE is the public JSON Web Key, with kid and alg; - reads standard input. The private key is in a key management service, which
-private-uri refers to, or was encrypted by what the servers use, and is in the file of -private. A key in plain is refused where it
can be told. The new key signs once it has been published for the servers' lead time.`,
	record: change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		uri := flags.String("private-uri", "", "`reference` to the private key in a key management service")
		file := flags.String("private", "", "`file` with the encrypted private key")
		return func(ctx context.Context, c console) error {
			if (*uri == "") == (*file == "") {
				return usage("key add: pass -private-uri or -private")
			}
			document, err := readFile(c, flags.Arg(0), 64<<10)
			if err != nil {
				return err
			}
			p, err := publicKeyParams(document)
			if err != nil {
				return refuse("%s: %w", flags.Arg(0), err)
			}
			if *uri != "" {
				p.PrivateKeyURI = uri
			} else {
				sealed, err := readFile(c, *file, 64<<10)
				if err != nil {
					return err
				}
				if isPlainKey(sealed) {
					return refuse("%s: the private key is not encrypted", *file)
				}
				p.PrivateKey = string(bytes.TrimRight(sealed, "\r\n"))
			}
			return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
				k, err := q.CreateSigningKey(ctx, p)
				if db.IsUniqueViolation(err) {
					return change{}, refuse("there is a key with the kid %q already", p.ID)
				}
				if err != nil {
					return change{}, err
				}
				return change{Outcome: store.OutcomeCreated, KeyID: k.ID, Says: "the key is published"}, nil
			})
		}
	},
}

// publicKeyParams reads a public JSON Web Key.
func publicKeyParams(document []byte) (store.CreateSigningKeyParams, error) {
	var p store.CreateSigningKeyParams
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return p, fmt.Errorf("not a JSON Web Key: not a JSON object") // the decoder's error may quote it
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := members[private]; ok {
			return p, fmt.Errorf("not a public key: it has the member %q", private)
		}
	}
	text := func(name string) *string {
		var value string
		if json.Unmarshal(members[name], &value) != nil || value == "" {
			return nil
		}
		return &value
	}
	id, alg := text("kid"), text("alg")
	if id == nil || alg == nil || text("kty") == nil {
		return p, fmt.Errorf("not a JSON Web Key with kty, kid and alg")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, document); err != nil {
		return p, fmt.Errorf("not a JSON Web Key")
	}
	return store.CreateSigningKeyParams{ID: store.SigningKeyID(*id), Alg: alg, Curve: text("crv"), PublicKey: compact.String()}, nil
}

// isPlainKey recognises private keys as they are commonly kept, where they are not encrypted.
func isPlainKey(content []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(content, &members) == nil {
		_, hasD := members["d"]
		_, hasK := members["k"]
		return hasD || hasK
	}
	return bytes.Contains(content, []byte("PRIVATE KEY-----")) && !bytes.Contains(content, []byte("ENCRYPTED"))
}

var keyDeleteCommand = command{
	name:    "key delete",
	operand: "KEY",
	summary: "delete a key that has leaked: what it has signed is refused",
	details: `Verifiers that cache the published keys accept it until they fetch them again. A server may sign with it for as long as it doesn't
look: adapters/zitadel looks once a minute, and makes a new key if there is no other.`,
	record: change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		return func(ctx context.Context, c console) error {
			return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
				id, err := q.DeleteSigningKey(ctx, store.SigningKeyID(flags.Arg(0)))
				if db.IsNotFound(err) {
					return change{}, noSuch("key", flags.Arg(0))
				}
				if err != nil {
					return change{}, err
				}
				return change{Outcome: store.OutcomeDeleted, KeyID: id, Says: "the key is deleted"}, nil
			})
		}
	},
}
