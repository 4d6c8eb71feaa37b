package calls

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// scanned is what a statement of one row of texts answers, as one text; NULL is a value.
func (w *world) scanned(tx pgx.Tx, sql string, args ...any) string {
	w.Helper()
	var text string
	err := tx.QueryRow(w.Ctx, `SELECT concat_ws(' ', VARIADIC ARRAY(SELECT coalesce(e.value, 'NULL') FROM jsonb_each_text(to_jsonb(x)) WITH ORDINALITY AS e (key, value, n) ORDER BY n))
		FROM (`+sql+`) AS x`, args...).Scan(&text)
	if code := pgErrorOf(err).Code; code != "" {
		return code
	}
	w.OK(err)
	return text
}

// waits runs a call that waits for what another session has changed, which then commits.
func (w *world) waits(sql string, args []any, call func()) {
	w.Helper()
	other := w.otherSession()
	_, err := other.Exec(w.Ctx, sql, args...)
	w.OK(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		call()
	}()
	w.Until("the call waits", func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 1 })
	w.OK(other.Commit(w.Ctx))
	<-done
}

// What is said about tokens that a device was given before, by what has become of the first refresh token.
func TestRequestThatWasRedeemedIsJudged(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	another := w.approvedDevice()
	w.poll(another.code, store.OutcomeRedeemed)
	d := w.approvedDevice()
	w.poll(d.code, store.OutcomeRedeemed)
	const (
		used      = `UPDATE oauth_refresh_token SET revoked = now() WHERE authorization_id = {id}`
		collected = `DELETE FROM oauth_access_token WHERE authorization_id = {id}; DELETE FROM oauth_refresh_token WHERE authorization_id = {id}`
		rotated   = collected + `; INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, authorization_id, expires_at)
			SELECT 'second', '{digest}', a.client_id, a.user_id, '{}', a.id, now() + interval '1 hour' FROM oauth_authorization AS a WHERE a.id = {id}`
		none     = `UPDATE oauth_polled_request SET refresh_token_id = NULL WHERE id = {id}`
		over     = `UPDATE oauth_refresh_token SET expires_at = now() WHERE authorization_id = {id}`
		longAgo  = `UPDATE oauth_authorization SET redeemed_at = now() - interval '10 seconds' WHERE id = {id}`
		tomorrow = `UPDATE oauth_authorization SET redeemed_at = now() + interval '1 second' WHERE id = {id}`
		never    = `UPDATE oauth_authorization SET redeemed_at = NULL WHERE id = {id}`
		nameless = `UPDATE oauth_authorization SET redeemed_as = NULL WHERE id = {id}`
		lasting  = `UPDATE oauth_refresh_token SET access_token_expires_at = '2100-01-01Z' WHERE authorization_id = {id}`
		alone    = `UPDATE oauth_authorization SET expires_at = '2200-01-01Z' WHERE id = {id}`
		same     = `(SELECT a.redeemed_as FROM oauth_authorization AS a WHERE a.id = {id})`
	)
	now := func(sql ...string) (all string) {
		for _, s := range sql {
			all += s + ";\n"
		}
		return all
	}
	of := replacerOf(w.namesOf(d.id, ""), "{digest}", string(fixture.Digest("second")))
	for _, c := range []struct {
		sql, as, grace string
		fresh          bool
		want           string // the verdict, whether the refresh token is named, and the access token's expiry
	}{
		{"", same, "0", true, "retried true NULL"},
		{"", same, "0", false, "retried true NULL"},
		{"", "'other'", "1 minute", true, "retried true NULL"},
		{"", "'other'", "1 minute", false, "proof_replayed false NULL"},
		{"", "'other'", "0", true, "replayed false NULL"},
		{isRevoked, same, "0", true, "revoked false NULL"},
		{isRevoked, "'other'", "0", false, "proof_replayed false NULL"},
		{never, same, "0", true, "revoked false NULL"},
		{nameless, "NULL", "0", false, "proof_replayed false NULL"},
		{nameless, "NULL", "0", true, "replayed false NULL"},
		{now(nameless, used), "NULL", "0", true, "replayed false NULL"},
		{now(nameless, lasting), "NULL", "1 minute", true, "retried true NULL"},
		{now(used, isRevoked), same, "0", true, "revoked false NULL"},
		{used, same, "1 minute", true, "superseded false NULL"},
		{used, "'other'", "1 minute", true, "replayed false NULL"},
		{now(used, over), same, "1 minute", true, "superseded false NULL"},
		{rotated, same, "1 minute", true, "superseded false NULL"},
		{rotated, "'other'", "1 minute", true, "replayed false NULL"},
		{now(rotated, none), same, "0", true, "retried false NULL"},
		{collected, same, "1 minute", true, "expired false NULL"},
		{now(collected, none), same, "0", true, "retried false NULL"},
		{now(collected, none), "'other'", "0", true, "replayed false NULL"},
		{over, same, "1 minute", true, "expired false NULL"},
		{`UPDATE oauth_refresh_token SET expires_at = NULL WHERE authorization_id = {id}`, same, "0", true, "retried true NULL"},
		{longAgo, "'other'", "11 seconds", true, "retried true NULL"},
		{longAgo, "'other'", "10 seconds", true, "replayed false NULL"},
		{longAgo, same, "10 seconds", true, "retried true NULL"},
		{tomorrow, "'other'", "0", true, "replayed false NULL"},
		{tomorrow, "'other'", "1 microsecond", true, "retried true NULL"},
		{lasting, same, "0", true, "retried true 2100-01-01"},
		{now(lasting, alone), same, "0", true, "retried true 2100-01-01"},
		{alone, same, "0", true, "retried true 2200-01-01"},
		{alone, "'other'", "1 minute", true, "retried true NULL"},
	} {
		w.undone(func(tx pgx.Tx, _ *store.Queries) {
			_, err := tx.Exec(w.Ctx, of.Replace(c.sql))
			w.OK(err)
			got := w.scanned(tx, of.Replace(`
				SELECT j.verdict AS a, coalesce(j.refresh_token_id = p.refresh_token_id AND j.refresh_token = r.token AND j.refresh_token_expires_at IS NOT DISTINCT FROM r.expires_at, false) AS b,
					left(j.access_token_expires_at::text, 10) AS c
				FROM oauth_polled_request AS p
				LEFT JOIN oauth_refresh_token AS r ON r.id = p.refresh_token_id
				CROSS JOIN judge_redeemed_request({id}, `+c.as+`, '`+c.grace+`', $1) AS j
				WHERE p.id = {id}`), c.fresh)
			if got != c.want {
				w.Errorf("%q as %s within %s, fresh: %t: %s, want %s", c.sql, c.as, c.grace, c.fresh, got, c.want)
			}
			ended := w.scanned(tx, of.Replace(`SELECT a.revoked_reason AS a, coalesce(a.revoked_at = now() AND a.updated_at = now(), false) AS b FROM oauth_authorization AS a WHERE a.id = {id}`))
			want := map[bool]string{true: "code_replayed true", false: "NULL false"}[c.want[:8] == "replayed"]
			if c.sql != isRevoked && c.sql != now(used, isRevoked) && ended != want {
				w.Errorf("%q as %s within %s: the family's end is %s, want %s", c.sql, c.as, c.grace, ended, want)
			}
			wantEqual(t, "another family", w.scanned(tx, `SELECT a.revoked_at FROM oauth_authorization AS a WHERE a.id = $1`, string(another.id)), "NULL")
			for _, fresh := range []bool{true, false} {
				wantEqual(t, "of none", w.scanned(tx, of.Replace(`SELECT j.verdict, j.refresh_token FROM judge_redeemed_request('none', 'other', '0', $1) AS j`), fresh), "unknown NULL")
			}
		})
	}

	// the end that was there first stays
	w.waits(of.Replace(isRevoked), nil, func() {
		w.undone(func(tx pgx.Tx, _ *store.Queries) {
			wantEqual(t, "while another call ends the family", w.scanned(tx, of.Replace(`SELECT j.verdict FROM judge_redeemed_request({id}, 'other', '0', true) AS j`)), "replayed")
			wantEqual(t, "the reason", w.scanned(tx, of.Replace(`SELECT a.revoked_reason FROM oauth_authorization AS a WHERE a.id = {id}`)), "authorization_revoked")
		})
	})
}

// A grant whose id is taken is the same call's if all that it wrote is the same.
func TestGrantThatIsRepeatedIsJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other := w.Redeem()
	_, p := w.issueGrant("x", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.Scopes, p.Resources = []string{"openid"}, bothResources })
	w.Exec(`UPDATE oauth_authorization SET authorization_details = '[{"type": "pay"}]' WHERE id = $1`, string(p.ID))
	type args map[string]string
	base := args{
		"id": "{id}", "client": "{client}", "user": "{user}", "scopes": "'{openid}'", "resources": "'{https://api.example,https://files.example}'",
		"details": `'[{"type": "pay"}]'`, "as": "'" + string(p.AccessTokenID) + "'", "access": "'" + string(*p.AccessToken) + "'",
		"with": "'" + string(*p.RefreshTokenID) + "'", "refresh": "'" + string(*p.RefreshToken) + "'",
	}
	of := replacerOf(w.namesOf(p.ID, ""), "{another}", "'"+string(other.Authorization)+"'")
	const (
		unowned   = `UPDATE oauth_authorization SET status = 'pending', user_id = NULL WHERE id = {id}`
		nameless  = `UPDATE oauth_authorization SET redeemed_as = NULL WHERE id = {id}`
		ungranted = `UPDATE oauth_authorization SET status = 'pending', granted_scopes = NULL WHERE id = {id}`
		bare      = `UPDATE oauth_authorization SET resources = NULL, authorization_details = NULL WHERE id = {id}`
		rowless   = `DELETE FROM oauth_access_token WHERE authorization_id = {id}`
		lasting   = rowless + `; UPDATE oauth_refresh_token SET access_token_expires_at = '2100-01-01Z' WHERE authorization_id = {id}`
		alone     = rowless + `; DELETE FROM oauth_refresh_token WHERE authorization_id = {id}; UPDATE oauth_authorization SET expires_at = '2200-01-01Z' WHERE id = {id}`
		both      = lasting + `; UPDATE oauth_authorization SET expires_at = '2200-01-01Z' WHERE id = {id}`
		jwt       = `UPDATE oauth_access_token SET token = NULL WHERE authorization_id = {id}`
		dated     = `UPDATE oauth_access_token SET expires_at = '2300-01-01Z' WHERE authorization_id = {id}; UPDATE oauth_refresh_token SET expires_at = '2400-01-01Z', access_token_expires_at = '2100-01-01Z' WHERE authorization_id = {id}`
		moved     = `UPDATE oauth_authorization SET session_id = NULL WHERE id = {id}`
	)
	refresh := string(w.refreshTokenOf(other.Refresh).ID)
	for _, c := range []struct {
		sql    string
		change args
		want   string // the verdict, the expiry of the access token and that of the refresh token
	}{
		{dated, nil, "retried 2300-01-01 2400-01-01"},
		{lasting, nil, "retried 2100-01-01 {soon}"},
		{both, nil, "retried 2100-01-01 {soon}"},
		{alone, nil, "retried 2200-01-01 NULL"},
		{dated, args{"client": "'other'"}, "22023"},
		{dated, args{"user": "'other'"}, "22023"},
		{unowned, args{"user": "NULL"}, "22023"},
		{dated, args{"as": "'other'"}, "22023"},
		{nameless, args{"as": "NULL"}, "22023"},
		{dated, args{"scopes": "'{}'"}, "22023"},
		{ungranted, args{"scopes": "NULL"}, "22023"},
		{dated, args{"resources": "NULL"}, "22023"},
		{dated, args{"details": "NULL"}, "22023"},
		{bare + ";" + dated, args{"resources": "NULL", "details": "NULL"}, "retried 2300-01-01 2400-01-01"},
		{dated, args{"access": "'" + string(fixture.Digest("other")) + "'"}, "22023"},
		{dated, args{"access": "NULL"}, "22023"},
		{jwt, nil, "22023"},
		{jwt + ";" + dated, args{"access": "NULL"}, "retried 2300-01-01 2400-01-01"},
		{dated, args{"refresh": "'" + string(fixture.Digest("other")) + "'"}, "22023"},
		{dated, args{"refresh": "NULL"}, "22023"},
		{dated, args{"with": "NULL", "refresh": "NULL"}, "retried 2300-01-01 NULL"},
		{dated, args{"with": "'" + refresh + "'", "refresh": "'" + string(fixture.Digest(other.Refresh)) + "'"}, "retried 2300-01-01 NULL"},
		{dated, args{"with": "'" + refresh + "'", "refresh": "'" + string(fixture.Digest("other")) + "'"}, "retried 2300-01-01 NULL"},
		{
			rowless + `; UPDATE oauth_access_token SET id = 'taken', authorization_id = NULL, user_id = NULL, refresh_id = NULL, client_epoch = 0 WHERE authorization_id = {another}; UPDATE oauth_authorization SET redeemed_as = 'taken', expires_at = '2200-01-01Z' WHERE id = {id}`,
			args{"as": "'taken'"},
			"retried 2200-01-01 {soon}",
		},
		{isDisabled, nil, "revoked NULL NULL"},
		{isRevoked, nil, "revoked NULL NULL"},
		{hasExpired, nil, "revoked NULL NULL"},
		{moved, nil, "revoked NULL NULL"},
		{`UPDATE oauth_authorization SET bound = false WHERE id = {id};` + hasExpired + ";" + dated, nil, "retried 2300-01-01 2400-01-01"},
	} {
		w.undone(func(tx pgx.Tx, _ *store.Queries) {
			_, err := tx.Exec(w.Ctx, of.Replace(c.sql))
			w.OK(err)
			var list []byte
			for i, name := range []string{"id", "client", "user", "scopes", "resources", "details", "as", "access", "with", "refresh"} {
				value, changed := c.change[name]
				if !changed {
					value = base[name]
				}
				if i > 0 {
					list = append(list, ',')
				}
				list = append(list, value...)
			}
			got := w.scanned(tx, of.Replace(`SELECT j.verdict AS a, left(j.access_token_expires_at::text, 10) AS b, left(j.refresh_token_expires_at::text, 10) AS c FROM judge_repeated_grant(`+string(list)+`) AS j`))
			if want := replacerOf(nil, "{soon}", w.scanned(tx, `SELECT left((now() + interval '1 hour')::text, 10) AS a`)).Replace(c.want); got != want {
				w.Errorf("%q, %v: %s, want %s", c.sql, c.change, got, want)
			}
		})
	}
}
