package calls

import (
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// What is said about a refresh token that is spent, by what has become of it, of its successor and of its family.
func TestSpentRefreshTokenIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other, k := w.Redeem(), w.Redeem()
	rotated, access := w.Rotate(k.Refresh, store.OutcomeRotated)
	names := w.namesOf(k.Authorization, "")
	names["spent"], names["next"] = string(w.refreshTokenOf(k.Refresh).ID), string(*rotated.SuccessorID)
	names["earlier"], names["earlier digest"] = string(w.accessTokenOf(access).ID), string(fixture.Digest(access))
	names["another"], names["another digest"] = string(w.accessTokenOf(other.Access).ID), string(fixture.Digest(other.Access))
	names["new digest"] = string(fixture.Digest("new"))
	type args map[string]string
	base := args{
		"judged": "'rotated'", "fresh": "true", "grace": "'0'", "until used": "false", "same": "'other'", "as": "'new'", "digest": "{new digest}",
		"rowless": "false", "lifetime": "'1 hour'", "data": "NULL",
	}
	of := func(change ...args) *strings.Replacer {
		all := maps.Clone(base)
		for _, c := range change {
			maps.Copy(all, c)
		}
		named := replacerOf(names)
		var pairs []string
		for name, value := range all {
			pairs = append(pairs, "{"+name+"}", named.Replace(value))
		}
		return replacerOf(names, pairs...)
	}
	const (
		gone      = `DELETE FROM oauth_access_token WHERE authorization_id = {id}; DELETE FROM oauth_refresh_token WHERE id = {spent}`
		collected = `DELETE FROM oauth_access_token WHERE authorization_id = {id}; DELETE FROM oauth_refresh_token WHERE id = {next}`
		goesOn    = collected + `; INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, authorization_id, expires_at)
			SELECT 'third', {another digest}, r.client_id, r.user_id, '{}', r.authorization_id, now() + interval '1 hour' FROM oauth_refresh_token AS r WHERE r.id = {spent}`
		used      = `UPDATE oauth_refresh_token SET revoked = now() WHERE id = {next}`
		over      = `UPDATE oauth_refresh_token SET expires_at = now() WHERE id = {next}`
		elsewhere = `UPDATE oauth_refresh_token SET successor = NULL, successor_id = NULL WHERE id = {spent}`
		lenient   = `UPDATE oauth_client SET refresh_grace = '1 hour' WHERE client_id = {client}`
		strict    = `UPDATE oauth_client SET refresh_grace = '0' WHERE client_id = {client}`
		patient   = `UPDATE oauth_client SET refresh_grace_until_used = true WHERE client_id = {client}`
		hasty     = `UPDATE oauth_client SET refresh_grace_until_used = false WHERE client_id = {client}`
		longAgo   = `UPDATE oauth_refresh_token SET revoked = now() - interval '1 hour' WHERE id = {spent}`
	)
	const answer = `
		SELECT x.outcome AS a FROM oauth_client AS c
		CROSS JOIN LATERAL answer_spent_refresh_token({spent}, {judged}, {fresh}, 'locked', c, {grace}, {until used}, {same}, {as}, {digest}, {rowless}, {lifetime},
			NULL, NULL, NULL, {data}, ROW(NULL, NULL, NULL, '{openid}', NULL, NULL, NULL, NULL, NULL, NULL)::token_answer) AS x
		WHERE c.client_id = {client}`
	within := args{"grace": "'1 minute'"}
	same := args{"same": "{next}"}
	for _, c := range []struct {
		sql    string
		change []args
		want   string // the outcome, and for what the family has ended
	}{
		{"", nil, "replayed refresh_token_reused"},
		{"", []args{within}, "retried NULL"},
		{"", []args{same}, "retried NULL"},
		{"", []args{{"until used": "true"}}, "retried NULL"},
		{"", []args{within, {"judged": "'invalid_scope'"}}, "invalid_scope NULL"},
		{"", []args{within, same, {"fresh": "false"}}, "proof_replayed NULL"},
		{gone, []args{within}, "unknown NULL"},
		{gone, []args{within, {"fresh": "false"}}, "proof_replayed NULL"},
		{elsewhere, []args{within, same}, "replayed refresh_token_reused"},
		{used, []args{within}, "replayed refresh_token_reused"},
		{used, []args{within, same}, "superseded NULL"},
		{goesOn, []args{within}, "replayed refresh_token_reused"},
		{goesOn, []args{within, same}, "superseded NULL"},
		{collected, []args{within, same}, "expired NULL"}, // another family has an unused token
		{over, []args{within, same}, "expired NULL"},
		{lenient, nil, "retried NULL"},
		{strict, []args{within}, "replayed refresh_token_reused"},
		{patient, nil, "retried NULL"},
		{hasty, []args{{"until used": "true"}}, "replayed refresh_token_reused"},
		{longAgo, []args{{"grace": "'1 hour'"}}, "replayed refresh_token_reused"},
		{longAgo, []args{{"grace": "'1 hour 1 second'"}}, "retried NULL"},
		{isRevoked, nil, "replayed authorization_revoked"}, // the end that was there first stays
		{"", []args{within, {"as": "{another}", "digest": "{another digest}"}}, "22023"},
		{"", []args{within, {"as": "{earlier}", "digest": "{another digest}"}}, "22023"},
		{"", []args{within, {"digest": "{another digest}"}}, "22023"},
		{"", []args{within, {"rowless": "true"}}, "22023"}, // of a JWT without a row there is no digest
		{"", []args{within, {"rowless": "true", "digest": "NULL"}}, "retried NULL"},
		{"", []args{within, {"rowless": "true", "digest": "NULL", "as": "{another}"}}, "22023"},
		{"", []args{same, {"rowless": "true", "digest": "NULL", "as": "{another}"}}, "22023"},
		{"", []args{within, {"rowless": "true", "digest": "NULL", "lifetime": "NULL"}}, "22023"},
	} {
		w.undone(func(tx pgx.Tx, _ *store.Queries) {
			of := of(c.change...)
			_, err := tx.Exec(w.Ctx, of.Replace(c.sql))
			w.OK(err)
			got := w.scanned(tx, of.Replace(answer))
			if got != "22023" {
				got += " " + w.scanned(tx, of.Replace(`SELECT a.revoked_reason FROM oauth_authorization AS a WHERE a.id = {id}`))
			}
			if got != c.want {
				w.Errorf("%q with %v: %s, want %s", c.sql, c.change, got, c.want)
			}
			if c.want == "22023" {
				return
			}
			pair := w.scanned(tx, of.Replace(`SELECT u.ended_grants <> '{}' AS a, u.grants_epoch AS b FROM "user" AS u WHERE u.id = {user}`))
			if want := map[bool]string{true: "true 0", false: "false 0"}[c.sql == elsewhere]; pair != want { // then it isn't known what descends from it
				w.Errorf("%q with %v: the grants of the pair have ended: %s, want %s", c.sql, c.change, pair, want)
			}
		})
	}

	// what the new token has of the one presented
	for _, c := range []struct{ sql, data, want string }{
		{"", "NULL", "NULL {id}"},
		{`UPDATE oauth_refresh_token SET data = '{"tenant": 1}', authorization_code_id = 'theirs' WHERE id = {spent}`, "NULL", `{"tenant": 1} theirs`},
		{`UPDATE oauth_refresh_token SET data = '{"tenant": 1}', authorization_code_id = NULL WHERE id = {spent}`, `'{"tenant": 2}'`, `{"tenant": 2} {id}`},
	} {
		w.undone(func(tx pgx.Tx, _ *store.Queries) {
			of := of(within, args{"data": c.data})
			_, err := tx.Exec(w.Ctx, of.Replace(c.sql))
			w.OK(err)
			wantEqual(t, "the outcome", w.scanned(tx, of.Replace(answer)), "retried")
			wantEqual(t, "its data and its authorization", w.scanned(tx, `SELECT t.data AS a, t.authorization_code_id AS b FROM oauth_access_token AS t WHERE t.id = 'new'`),
				strings.ReplaceAll(c.want, "{id}", string(k.Authorization)))
		})
	}
}
