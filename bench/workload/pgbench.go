package workload

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
		return script([]string{live, "\\set a :f * 4 + 3", "\\set zero 0"}, "IntrospectAccessToken",
			store.IntrospectAccessTokenParams{}, introspect(digest(dataset.KindAccess, "a", "zero")))
	case subject.IntrospectExpired:
		return script([]string{
			fmt.Sprintf("\\set f random(0, %d) * %d + %d", d.Families/dataset.ExpiredEvery-1, dataset.ExpiredEvery, dataset.ExpiredEvery-1),
			"\\set a :f * 4 + 3", "\\set zero 0",
		}, "IntrospectAccessToken", store.IntrospectAccessTokenParams{}, introspect(digest(dataset.KindAccess, "a", "zero")))
	case subject.IntrospectMiss:
		return script([]string{fmt.Sprintf("\\set a random(0, %d)", d.AccessTokens-1), "\\set zero 0"}, "IntrospectAccessToken",
			store.IntrospectAccessTokenParams{}, introspect(digest("m", "a", "zero")))
	case subject.Consent:
		return script([]string{fmt.Sprintf("\\set u random(0, %d)", d.Users-1), clientOf("u")}, "FindConsent",
			store.FindConsentParams{}, values{"ClientID": numbered("cli_", "c"), "UserID": numbered("usr_", "u")})
	case subject.Client:
		return script([]string{fmt.Sprintf("\\set f random(0, %d)", d.Families-1), clientOf("f")}, "GetClient",
			struct{ ClientID string }{}, values{"ClientID": numbered("cli_", "c")})
	case subject.Redeem:
		return script(nth, "RedeemAuthorizationCode", store.RedeemAuthorizationCodeParams{}, lifetimes(values{
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
		return script(turn, "RotateRefreshToken", store.RotateRefreshTokenParams{}, lifetimes(values{
			"Token": digest(kind(dataset.KindRefresh), "i", presented), "Grace": interval(subject.Grace),
			"SuccessorID": id("rtk_", successor), "Successor": digest(kind(dataset.KindRefresh), "i", successor),
			"AccessTokenID": id("atk_", "h"), "AccessToken": digest(kind(dataset.KindAccess), "i", "h"),
		}))
	case subject.Revoke:
		return script(nth, "RevokeToken", store.RevokeTokenParams{}, values{
			"Token": digest(kind(dataset.KindRefresh), "i", "zero"), "ClientID": numbered("cli_", "c"), "ClientAuthMethod": "'verified'",
		})
	case subject.EndSession:
		return script(append(nth, fmt.Sprintf("\\set s %s + :i", dataset.SeedBase(l.Run))), "EndSession",
			struct{ ID string }{}, values{"ID": numbered("ses_", "s")})
	}
	panic(fmt.Sprintf("no such work: %q", l.Work))
}

func interval(d time.Duration) string { return fmt.Sprintf("'%.0f seconds'", d.Seconds()) }

// values are SQL for parameters, by the names of the fields of their struct; the others are false if they are bool, else NULL.
type values map[string]string

// script puts values in the place of a call's parameters. Comments go: pgbench would look for variables in them.
func script(sets []string, call string, params any, v values) string {
	var b strings.Builder
	for _, set := range sets {
		b.WriteString(set + "\n")
	}
	query, fields := store.SQL(call), reflect.TypeOf(params)
	passed := passedBy(call, fields)
	for i := len(passed); i > 0; i-- { // $12 before $1
		name := passed[i-1].Name
		value, ok := v[name]
		switch {
		case ok:
		case passed[i-1].Type.Kind() == reflect.Bool:
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

// passedBy returns the fields of a call's parameters in the order of $1, $2 … in its statement: each is what changes if the field does.
func passedBy(call string, params reflect.Type) []reflect.StructField {
	if params.NumField() == 1 {
		return []reflect.StructField{params.Field(0)}
	}
	pass := func(arg reflect.Value) []any {
		var p passed
		reflect.ValueOf(store.New(&p)).MethodByName(call).Call([]reflect.Value{reflect.ValueOf(context.Background()), arg})
		return p
	}
	without := pass(reflect.Zero(params))
	order := make([]reflect.StructField, len(without))
	for i := range params.NumField() {
		arg := reflect.New(params).Elem()
		differ(arg.Field(i))
		for n, value := range pass(arg) {
			if !reflect.DeepEqual(value, without[n]) {
				order[n] = params.Field(i)
			}
		}
	}
	return order
}

// differ gives a field a value that is not the zero one.
func differ(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default:
		panic("no value for " + v.Type().String())
	}
}

// passed is what a call passes to the database, which it doesn't reach.
type passed []any

func (p *passed) Exec(_ context.Context, _ string, args ...any) (pgconn.CommandTag, error) {
	*p = args
	return pgconn.CommandTag{}, errNowhere
}

func (p *passed) Query(_ context.Context, _ string, args ...any) (pgx.Rows, error) {
	*p = args
	return nil, errNowhere
}

func (p *passed) QueryRow(_ context.Context, _ string, args ...any) pgx.Row {
	*p = args
	return nowhere{}
}

type nowhere struct{}

func (nowhere) Scan(...any) error { return errNowhere }

var errNowhere = errors.New("the call isn't made")
