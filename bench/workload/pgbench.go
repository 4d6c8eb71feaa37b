package workload

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/store"
)

// Script is what pgbench runs for the load: the same SQL as store's, with the parameters that Cases gives computed from pgbench's
// variables, partly by the server, as pgbench knows numbers only. It wants -M prepared and -D n=-1.
func (l Load) Script() string {
	d := l.Data
	kind := func(k string) string { return fmt.Sprintf("x%d%s", l.Run, k) }
	digest := func(kind, number, generation string) string {
		return fmt.Sprintf("(md5('%s' || :%s::text || '.' || :%s::text) || '-benchdataA')", kind, number, generation)
	}
	id := func(prefix, generation string) string {
		return fmt.Sprintf("('%s0191%06d' || lpad(:%s::text, 10, '0') || lpad(:i::text, 12, '0'))", prefix, l.Run, generation)
	}
	numbered := func(prefix, number string) string {
		return fmt.Sprintf("('%s01900000000070008' || lpad(:%s::text, 15, '0'))", prefix, number)
	}
	live := fmt.Sprintf("\\set f random(0, %d) * %d + random(0, %d)", d.Families/dataset.ExpiredEvery-1, dataset.ExpiredEvery, dataset.ExpiredEvery-2)
	clientOf := func(number string) string {
		return fmt.Sprintf("\\set c case when :%s %% 2 = 0 then 0 else :%s %% %d end", number, number, d.Clients)
	}
	nth := []string{"\\set n :n + 1", fmt.Sprintf("\\set i :client_id * %d + :n", l.Ops), clientOf("i"), "\\set zero 0", "\\set one 1"}
	turn := []string{
		"\\set n :n + 1", fmt.Sprintf("\\set i :client_id * %d + :n %% %d", familiesOfConn, familiesOfConn),
		fmt.Sprintf("\\set g :n / %d", familiesOfConn), "\\set h :g + 1", clientOf("i"), "\\set zero 0", "\\set one 1",
	}

	introspect := func(token string) values {
		return values{"Token": token, "ClientAuthMethod": "'server'", "ClientID": "''"}
	}
	lifetimes := func(v values) values {
		v["ClientID"], v["ClientAuthMethod"] = numbered("cli_", "c"), "'verified'"
		v["AccessTokenLifetime"], v["RefreshTokenLifetime"] = interval(subject.AccessTokenLifetime), interval(subject.RefreshTokenLifetime)
		return v
	}
	switch l.Work {
	case subject.IntrospectHit:
		return script([]string{live, "\\set a :f * 4 + 3", "\\set zero 0"}, store.SQL("IntrospectAccessToken"),
			store.IntrospectAccessTokenParams{}, introspect(digest(dataset.KindAccess, "a", "zero")))
	case subject.IntrospectExpired:
		return script([]string{
			fmt.Sprintf("\\set f random(0, %d) * %d + %d", d.Families/dataset.ExpiredEvery-1, dataset.ExpiredEvery, dataset.ExpiredEvery-1),
			"\\set a :f * 4 + 3", "\\set zero 0",
		}, store.SQL("IntrospectAccessToken"), store.IntrospectAccessTokenParams{}, introspect(digest(dataset.KindAccess, "a", "zero")))
	case subject.IntrospectMiss:
		return script([]string{fmt.Sprintf("\\set a random(0, %d)", d.AccessTokens-1), "\\set zero 0"}, store.SQL("IntrospectAccessToken"),
			store.IntrospectAccessTokenParams{}, introspect(digest("m", "a", "zero")))
	case subject.Consent:
		return script([]string{fmt.Sprintf("\\set u random(0, %d)", d.Users-1), clientOf("u")}, store.SQL("FindConsent"),
			store.FindConsentParams{}, values{"ClientID": numbered("cli_", "c"), "UserID": numbered("usr_", "u")})
	case subject.Client:
		return script([]string{fmt.Sprintf("\\set f random(0, %d)", d.Families-1), clientOf("f")}, store.SQL("GetClient"),
			struct{ ClientID string }{}, values{"ClientID": numbered("cli_", "c")})
	case subject.Redeem:
		return script(nth, store.SQL("RedeemAuthorizationCode"), store.RedeemAuthorizationCodeParams{}, lifetimes(values{
			"Code": digest(kind(dataset.KindCode), "i", "zero"), "FamilyLifetime": interval(subject.FamilyLifetime),
			"CodeChallenge": "'" + dataset.CodeChallenge + "'", "RedirectURI": "'" + dataset.RedirectURI + "'",
			"RefreshTokenID": id("rtk_", "one"), "RefreshToken": digest(kind(dataset.KindRefresh), "i", "one"),
			"AccessTokenID": id("atk_", "one"), "AccessToken": digest(kind(dataset.KindAccess), "i", "one"),
		}))
	case subject.Rotate, subject.Retry:
		presented, successor := "g", "h"
		if l.Work == subject.Retry {
			presented, successor = "zero", "one"
		}
		return script(turn, store.SQL("RotateRefreshToken"), store.RotateRefreshTokenParams{}, lifetimes(values{
			"Token": digest(kind(dataset.KindRefresh), "i", presented), "Grace": interval(subject.Grace),
			"SuccessorID": id("rtk_", successor), "Successor": digest(kind(dataset.KindRefresh), "i", successor),
			"AccessTokenID": id("atk_", "h"), "AccessToken": digest(kind(dataset.KindAccess), "i", "h"),
		}))
	case subject.Revoke:
		return script(nth, store.SQL("RevokeToken"), store.RevokeTokenParams{}, values{
			"Token": digest(kind(dataset.KindRefresh), "i", "zero"), "ClientID": numbered("cli_", "c"), "ClientAuthMethod": "'verified'",
		})
	case subject.EndSession:
		return script(append(nth, fmt.Sprintf("\\set s %s + :i", dataset.SeedBase(l.Run))), store.SQL("EndSession"),
			struct{ ID string }{}, values{"ID": numbered("ses_", "s")})
	}
	panic(fmt.Sprintf("no such work: %q", l.Work))
}

func interval(d time.Duration) string { return fmt.Sprintf("'%.0f seconds'", d.Seconds()) }

// values are SQL for parameters, by the names of the fields of their struct; the others are false if they are bool, else NULL.
type values map[string]string

// script puts values in the place of a query's parameters: $1 is the first field of params. Comments go: pgbench would look for
// variables in them.
func script(sets []string, query string, params any, v values) string {
	var b strings.Builder
	for _, set := range sets {
		b.WriteString(set + "\n")
	}
	fields := reflect.TypeOf(params)
	for i := fields.NumField(); i > 0; i-- { // $12 before $1
		name := fields.Field(i - 1).Name
		value, ok := v[name]
		switch {
		case ok:
		case fields.Field(i-1).Type.Kind() == reflect.Bool:
			value = "false"
		default:
			value = "NULL"
		}
		delete(v, name)
		query = strings.ReplaceAll(query, "$"+strconv.Itoa(i), value)
	}
	if len(v) > 0 {
		panic(fmt.Sprintf("%s has no parameters for %v", fields, v))
	}
	for line := range strings.Lines(query) {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "--") {
			b.WriteString(line)
		}
	}
	return strings.TrimRight(b.String(), "\n") + ";\n"
}
