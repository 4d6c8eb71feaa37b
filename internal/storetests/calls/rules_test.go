package calls

import (
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// choices are the values that each argument of a rule is tried with, by name. A value of nil is NULL.
type choices map[string][]any

// all are all ways to choose one value for each argument.
func (c choices) all() []map[string]any {
	ways := []map[string]any{{}}
	for name, values := range c {
		var more []map[string]any
		for _, way := range ways {
			for _, v := range values {
				next := map[string]any{name: v}
				for k, old := range way {
					next[k] = old
				}
				more = append(more, next)
			}
		}
		ways = more
	}
	return ways
}

// holds compares a rule, an expression in x (the choices, as jsonb) that is never NULL, with what it has to be, for all ways to choose.
func (w *world) holds(expression string, c choices, want func(x map[string]any) bool) {
	w.Helper()
	ways := c.all()
	rows, err := w.Pool.Query(w.Ctx, `SELECT `+expression+` FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS e (x, n) ORDER BY e.n`, asJSON(ways))
	w.OK(err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[*bool])
	w.OK(err)
	wrong, trues := 0, 0
	for i, x := range ways {
		is := want(x)
		if is {
			trues++
		}
		if got[i] == nil || *got[i] != is {
			if wrong++; wrong <= 5 {
				w.Errorf("%s of %s: %s, want %t", expression, asJSON(x), asJSON(got[i]), is)
			}
		}
	}
	if wrong > 5 {
		w.Errorf("%s: %d of %d are wrong", expression, wrong, len(ways))
	}
	if trues == 0 || trues == len(ways) {
		w.Errorf("%s is always the same: %d of %d", expression, trues, len(ways))
	}
}

// row is an expression: a row of a table, with the choices that are named as its columns are.
func row(table string) string { return `jsonb_populate_record(NULL::` + table + `, e.x)` }

// texts is an expression: a choice that is a list of texts.
func texts(name string) string {
	return `(CASE WHEN jsonb_typeof(e.x -> '` + name + `') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(e.x -> '` + name + `')) END)::text[]`
}

func isIn(all any, part any) bool {
	of := all.([]string)
	return !slices.ContainsFunc(part.([]string), func(p string) bool { return !slices.Contains(of, p) })
}

// or is a value, or what stands for it where it is NULL.
func or(v, otherwise any) any {
	if v == nil {
		return otherwise
	}
	return v
}

// What a rule says of its arguments alone is tried with all of them, NULL among them.
func TestRulesAboutClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	a, b := string(fixture.Digest("a")), string(fixture.Digest("b"))
	digests := []any{nil, a, b}
	code := []string{"authorization_code"}

	w.holds(`is_public(`+row("oauth_client")+`)`, choices{
		"public": {nil, true, false}, "token_endpoint_auth_method": {nil, "none", "client_secret_basic"}, "client_secret": {nil, a},
		"foreign_secret_hash": {nil, bcryptOfA}, "jwks": {nil, map[string]any{"keys": []any{}}}, "jwks_uri": {nil, "https://a.example/keys"},
	}, func(x map[string]any) bool {
		switch {
		case x["public"] != nil:
			return x["public"].(bool)
		case x["token_endpoint_auth_method"] != nil:
			return x["token_endpoint_auth_method"] == "none"
		}
		return x["client_secret"] == nil && x["foreign_secret_hash"] == nil && x["jwks"] == nil && x["jwks_uri"] == nil
	})

	w.holds(`manages(`+row("oauth_client")+`, e.x ->> 'manager', e.x ->> 'successor')`, choices{
		"registration_access_token": digests, "previous_registration_access_token": digests, "manager": digests, "successor": digests,
	}, func(x map[string]any) bool {
		present, previous, manager := x["registration_access_token"], x["previous_registration_access_token"], x["manager"]
		return manager != nil && (present == manager || present != nil && previous == manager && present == x["successor"])
	})

	w.holds(`binds_as_registered(`+row("oauth_client")+`, nullif(e.x -> 'proven', 'null'))`, choices{
		"dpop_bound_access_tokens": {nil, true, false}, "tls_client_certificate_bound_access_tokens": {nil, true, false},
		"proven": {nil, map[string]any{}, map[string]any{"jkt": "x"}, map[string]any{"x5t#S256": "x"}, map[string]any{"jkt": "x", "x5t#S256": "x"}},
	}, func(x map[string]any) bool {
		proven, _ := x["proven"].(map[string]any)
		return (x["dpop_bound_access_tokens"] != true || proven["jkt"] != nil) &&
			(x["tls_client_certificate_bound_access_tokens"] != true || proven["x5t#S256"] != nil)
	})

	w.holds(`uses_grant_type(`+row("oauth_client")+`, e.x ->> 'grant_type')`, choices{
		"grant_types": {nil, []string{}, code, []string{"implicit", "client_credentials"}},
		"grant_type":  {nil, "authorization_code", "refresh_token", "implicit", "client_credentials"},
	}, func(x map[string]any) bool {
		return x["grant_type"] != nil && isIn(or(x["grant_types"], []string{"authorization_code", "refresh_token"}), []string{x["grant_type"].(string)})
	})

	w.holds(`has_logout_uri(`+row("oauth_client")+`)`, choices{
		"backchannel_logout_uri": {nil, "", "https://a.example/out"}, "deleted_at": {nil, "2026-01-02T03:04:05Z"},
	}, func(x map[string]any) bool {
		return or(x["backchannel_logout_uri"], "") != "" && x["deleted_at"] == nil
	})

	w.holds(`coalesce(sector_of(`+row("oauth_client")+`), 'none') = coalesce(e.x ->> 'sector_identifier', 'client:app')`, choices{
		"client_id": {"app"}, "sector_identifier": {nil, "a.example"}, "subject_type": {nil, "public", "pairwise", "odd"},
	}, func(x map[string]any) bool { return or(x["subject_type"], "public") != "public" })

	w.holds(`may_present(jsonb_populate_record(NULL::oauth_client, nullif(e.x -> 'client', 'null')), `+row("oauth_access_token")+`, `+texts("served")+`)`, choices{
		"client": {
			nil, map[string]any{"client_id": "app", "public": true}, map[string]any{"client_id": "app", "public": false},
		},
		"client_id": {nil, "app", "other"}, "resources": {nil, []string{}, []string{"app"}, []string{"https://a.example", "https://b.example"}},
		"served": {nil, []string{}, []string{"https://b.example", "https://c.example"}, []string{"https://c.example"}},
	}, func(x map[string]any) bool {
		client, _ := x["client"].(map[string]any)
		if client["client_id"] == nil {
			return false
		}
		own := append(slices.Clone(or(x["served"], []string{}).([]string)), "app")
		return x["client_id"] == "app" || client["public"] == false && slices.ContainsFunc(or(x["resources"], []string{}).([]string), func(r string) bool {
			return slices.Contains(own, r)
		})
	})

	hostOf := func(uris any) string {
		var hosts []string
		for _, uri := range or(uris, []string{}).([]string) {
			hosts = append(hosts, strings.Split(uri, "/")[2])
		}
		if hosts = slices.Compact(hosts); len(hosts) == 1 {
			return hosts[0]
		}
		return ""
	}
	redirects := []any{[]string{"https://a.example/1"}, []string{"https://a.example/1", "https://a.example/2"}, []string{"https://b.example/1"}, []string{"https://b.example/1", "https://a.example/1"}}
	device := []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}
	subjects := []any{nil, "public", "pairwise"}
	proves := func(types any) bool { return isIn(code, or(types, code)) }
	w.holds(`leaves_sector(jsonb_populate_record(NULL::oauth_client, e.x || jsonb_build_object('subject_type', e.x -> 'was', 'redirect_uris', e.x -> 'from', 'grant_types', e.x -> 'by')),
			e.x ->> 'verified', e.x ->> 'subject_type', `+texts("redirect_uris")+`, `+texts("grant_types")+`)`, choices{
		"client_id": {"app"}, "sector_identifier": {nil, "client:app", "a.example"}, "verified": {nil, "A.example"},
		"was": subjects, "subject_type": subjects, "from": {redirects[1], redirects[3]},
		"redirect_uris": {nil, redirects[0], redirects[2], redirects[3]}, "by": {nil, device}, "grant_types": {nil, code, device},
	}, func(x map[string]any) bool {
		sector := or(x["sector_identifier"], "client:app").(string)
		return or(x["subject_type"], "public") != "public" && sector != "client:app" && x["verified"] != "A.example" &&
			!(hostOf(x["redirect_uris"]) == sector && proves(x["grant_types"])) &&
			!(or(x["was"], "public") != "public" && isIn(x["from"], or(x["redirect_uris"], []string{})) && isIn(or(x["by"], code), or(x["grant_types"], code)))
	})

	w.holds(`coalesce(stated_sector('app', e.x ->> 'verified', e.x ->> 'subject_type', `+texts("grant_types")+`), 'none') = coalesce(e.x ->> 'verified', 'client:app')`, choices{
		"verified": {nil, "a.example"}, "subject_type": subjects, "grant_types": {nil, code, device},
	}, func(x map[string]any) bool {
		return x["verified"] != nil || or(x["subject_type"], "public") != "public" && !proves(x["grant_types"])
	})

	longest := strings.Repeat("a", 247) + ".example"
	w.holds(`coalesce(common_host(`+texts("uris")+`), 'none') = e.x ->> 'host'`, choices{
		"host": {"a.example", longest},
		"uris": {nil, []string{}, []string{"https://a.example/"}, redirects[1], redirects[3], []string{"http://localhost/"}, []string{"https://" + longest}, []string{"https://x" + longest}},
	}, func(x map[string]any) bool {
		uris := or(x["uris"], []string{}).([]string)
		return x["host"] == "a.example" && len(uris) > 0 && hostOf(uris) == "a.example" || x["host"] == longest && slices.Equal(uris, []string{"https://" + longest})
	})

	w.holds(`client_key(repeat('x', (e.x ->> 'length')::integer)) = repeat('x', (e.x ->> 'length')::integer)`, choices{"length": {1, 63, 64, 65}},
		func(x map[string]any) bool { return x["length"] != 65 })
	w.holds(`tenant_key(repeat('x', (e.x ->> 'length')::integer)) = '.' || repeat('x', (e.x ->> 'length')::integer)`, choices{"length": {0, 1, 63, 64, 65}},
		func(x map[string]any) bool { return x["length"] != 65 })
	w.holds(`tenant_key(repeat('x', 65)) = e.x ->> 'key'`, choices{
		"key": {"-", ".", "." + strings.Repeat("x", 65), fmt.Sprintf(".%x", md5.Sum([]byte(strings.Repeat("x", 65))))},
	}, func(x map[string]any) bool {
		return strings.HasPrefix(x["key"].(string), ".") && len(x["key"].(string)) == 33
	})
	var none string
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT tenant_key(NULL)`).Scan(&none))
	wantEqual(t, "key of no tenant", none, "-")
}

// Without a synchronous standby there is nothing to wait for, and nothing is written.
func TestSettledWritesNothingWithoutAStandby(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.undone(func(tx pgx.Tx, _ *store.Queries) {
		var verdict store.Outcome
		var wrote bool
		w.OK(tx.QueryRow(w.Ctx, `SELECT settled('revoked')`).Scan(&verdict))
		w.OK(tx.QueryRow(w.Ctx, `SELECT pg_current_xact_id_if_assigned() IS NOT NULL`).Scan(&wrote))
		if verdict != store.OutcomeRevoked || wrote {
			t.Errorf("settled answers %s, and wrote something: %t", verdict, wrote)
		}
	})
}

// A proof is remembered for a time that lies ahead.
func TestProofThatIsOverNowIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for ahead, refused := range map[string]bool{"0": true, "1 microsecond": false} {
		w.undone(func(tx pgx.Tx, _ *store.Queries) {
			var fresh bool
			err := tx.QueryRow(w.Ctx, `SELECT proof_is_fresh($1, now() + $2::interval)`, string(fixture.Digest("proof")), ahead).Scan(&fresh)
			if (err != nil) != refused || !refused && !fresh {
				t.Errorf("%s ahead: fresh %t, %v", ahead, fresh, err)
			}
		})
	}
}

func TestFamilyIsInForceWhileSomethingCanBeUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Redeem() // another family, which is
	family, _ := w.Grant()
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer func() { w.OK(tx.Rollback(w.Ctx)) }()
	instants := []string{"NULL", "now()", "now() + interval '1 microsecond'"}
	is := func(what, sql string, want bool) {
		t.Helper()
		inner, err := tx.Begin(w.Ctx)
		w.OK(err)
		_, err = inner.Exec(w.Ctx, sql)
		w.OK(err)
		var got *bool
		w.OK(inner.QueryRow(w.Ctx, `SELECT is_in_force(a) FROM oauth_authorization AS a WHERE a.id = $1`, string(family)).Scan(&got))
		wantEqual(t, what, got, &want)
		listed, err := store.New(inner).ListUserAuthorizations(w.Ctx, store.ListUserAuthorizationsParams{UserID: w.User, PageSize: 10})
		w.OK(err)
		wantEqual(t, what+": listed", slices.ContainsFunc(listed, func(r store.OAuthAuthorization) bool { return r.ID == family }), want)
		w.OK(inner.Rollback(w.Ctx))
	}
	_, err = tx.Exec(w.Ctx, `UPDATE oauth_authorization SET expires_at = now() WHERE id = $1`, string(family))
	w.OK(err)
	for _, expires := range instants {
		is("a code of "+expires, `UPDATE oauth_authorization SET expires_at = `+expires+` WHERE id = '`+string(family)+`'`, expires == instants[2])
	}
	for _, revoked := range []string{"NULL", "now()"} {
		for _, expires := range instants {
			usable := revoked == "NULL" && expires != "now()"
			is(fmt.Sprintf("an access token of %s, revoked %s", expires, revoked), fmt.Sprintf(`
				INSERT INTO oauth_access_token (id, client_id, user_id, authorization_id, scopes, revoked, expires_at)
				VALUES ('x', '%s', '%s', '%s', '{}', %s, %s)`, w.Client, w.User, family, revoked, expires), usable)
			for _, access := range instants {
				is(fmt.Sprintf("a refresh token of %s, revoked %s, with an access token of %s", expires, revoked, access), fmt.Sprintf(`
					INSERT INTO oauth_refresh_token (id, token, client_id, user_id, authorization_id, scopes, revoked, expires_at, access_token_expires_at)
					VALUES ('x', '%s', '%s', '%s', '%s', '{}', %s, %s, %s)`,
					fixture.Digest("x"), w.Client, w.User, family, revoked, expires, access), usable || access == instants[2])
			}
		}
	}
}

// A token that is locked to be exchanged is judged as by introspection.
func TestTokenIsLockedWhileItIsLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bound, unbound := w.Redeem(online), w.Redeem()
	for sql, live := range map[string]string{ // which of the two are live then
		`SELECT`:                                                  "11",
		`UPDATE "user" SET grants_epoch = 1`:                      "00",
		`UPDATE "user" SET suspended_at = now()`:                  "00",
		`UPDATE session SET ended_at = now(), expires_at = now()`: "01",
		`UPDATE oauth_client SET grants_epoch = 1 WHERE client_id = '` + string(w.Client) + `'`: "00",
		`UPDATE oauth_client SET disabled = true WHERE client_id = '` + string(w.Client) + `'`:  "00",
		`UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'token_revoked'`:   "00",
		`UPDATE oauth_access_token SET revoked = now()`:                                         "00",
	} {
		w.undone(func(tx pgx.Tx, _ *store.Queries) {
			_, err := tx.Exec(w.Ctx, sql)
			w.OK(err)
			got := ""
			for _, k := range []fixture.Tokens{bound, unbound} {
				var is bool
				w.OK(tx.QueryRow(w.Ctx, `SELECT lock_live_access_token(t.id) FROM oauth_access_token AS t WHERE t.token = $1`, string(fixture.Digest(k.Access))).Scan(&is))
				got += map[bool]string{true: "1", false: "0"}[is]
			}
			if got != live {
				t.Errorf("%s: live %s, want %s", sql, got, live)
			}
		})
	}
}

// Parents that are not there, or a session that is over, are told apart whoever else is there.
func TestParentsAreLockedOrMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	ended, expired := w.NewSession(w.User), w.NewSession(w.User)
	// by a clock that is ahead, as that of a transaction which began later
	w.Exec(`UPDATE session SET ended_at = now() + interval '1 hour', expires_at = now() + interval '1 hour' WHERE id = $1`, ended)
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, expired)
	for _, c := range []struct{ user, client, session, want string }{
		{string(w.User), string(w.Client), string(w.Session), "locked"},
		{string(w.User), string(w.Client), "", "locked"},
		{"", string(w.Client), "", "locked"},
		{"", "", "", "locked"},
		{"none", string(w.Client), string(w.Session), "unknown"},
		{string(w.User), "none", string(w.Session), "unknown"},
		{string(w.User), string(w.Client), "none", "signed_out"},
		{string(w.User), string(w.Client), string(ended), "signed_out"},
		{string(w.User), string(w.Client), string(expired), "signed_out"},
	} {
		var got string
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT lock_parents(nullif($1, ''), nullif($2, ''), nullif($3, ''))`, c.user, c.client, c.session).Scan(&got))
		wantEqual(t, fmt.Sprintf("parents %v", c), got, c.want)
	}
}

// What a repeated call with the same proof is recognised by.
func TestWhatTheSameCallIssuedBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	own := w.accessTokenOf(w.issue("own", store.OutcomeIssued)).ID
	k, exchanger := w.Redeem(), w.NewExchanger()
	subject := w.accessTokenOf(k.Access).ID
	_, raw := w.Exchange(k.Access, exchanger, store.OutcomeExchanged)
	exchanged := w.accessTokenOf(raw).ID
	for _, c := range []struct {
		token   store.AccessTokenID
		client  store.ClientID
		subject store.AccessTokenID
		want    bool
	}{
		{own, w.machine(), "", true},
		{own, w.Client, "", false},
		{own, w.machine(), subject, false},
		{"none", w.machine(), "", false},
		{exchanged, exchanger, subject, true},
		{exchanged, exchanger, own, false},
		{exchanged, exchanger, "", false},
		{exchanged, w.Client, subject, false},
		{subject, w.Client, "", false}, // of a grant
	} {
		var got bool
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT was_issued_to($1, $2, nullif($3, ''))`, c.token, c.client, string(c.subject)).Scan(&got))
		wantEqual(t, fmt.Sprintf("issued: %v", c), got, c.want)
	}

	w.Rotate(k.Refresh, store.OutcomeRotated)
	first, other := w.refreshTokenOf(k.Refresh), w.refreshTokenOf(w.Redeem().Refresh)
	for _, c := range []struct {
		token store.RefreshTokenID
		want  bool
	}{{first.ID, true}, {other.ID, false}} {
		var got bool
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT was_rotated_into($1, $2)`, c.token, *first.SuccessorID).Scan(&got))
		wantEqual(t, fmt.Sprintf("rotated: %v", c), got, c.want)
	}
}

func TestRuleAboutSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	past, future := "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
	w.holds(`session_is_live(`+row("session")+`, `+row(`"user"`)+`)`, choices{
		"ended_at": {nil, past}, "expires_at": {nil, past, future}, "user_sessions_epoch": {nil, 0, 1, 2}, "sessions_epoch": {nil, 1},
		"suspended_at": {nil, past}, "deleted_at": {nil, past},
	}, func(x map[string]any) bool {
		epoch, _ := x["user_sessions_epoch"].(int)
		return x["ended_at"] == nil && x["expires_at"] == future && x["sessions_epoch"] == 1 && epoch >= 1 && x["suspended_at"] == nil && x["deleted_at"] == nil
	})
}
