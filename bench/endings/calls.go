package main

import (
	"context"
	"crypto/md5"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/oauthdb/oauthdb/bench/machine"
	"github.com/oauthdb/oauthdb/bench/report"
)

const (
	batch    = 50 // calls that one core makes before it is the other's turn
	warm     = 20 // of them are not measured
	chains   = batch + warm
	maxCalls = background/4 - 3*chains
)

// digest is what digestSQL computes.
func digest(kind, number string) string {
	return fmt.Sprintf("%x-benchdataA", md5.Sum([]byte(kind+number)))
}

// values are parameters by their names; a call takes those that it has.
type values map[string]any

func (v values) and(more values) values {
	all := maps.Clone(v)
	maps.Copy(all, more)
	return all
}

// client is who calls, as the new core's calls have to know.
func client(of, method string) values {
	v := values{"client_id": clientID(of), "client_auth_method": method}
	if method == "client_secret_basic" {
		v["client_secret"] = digest(secret, of)
	}
	return v
}

// work is a call that each request makes.
type work struct {
	title, name, outcome string // outcome is empty for a call that answers none
	values               func(n int) values
	first                func(n int) values // of a rotation that goes before, and isn't measured
	authenticates        bool               // which took the earlier core a call of its own
}

// defaults are parameters that most calls leave as they are.
var defaults = values{
	"access_token_without_row": false, "refresh_token_needs_offline_access": false, "resources": []string{}, "default_scopes": []string(nil),
	"default_resources": []string(nil), "compared_types": []string(nil),
}

func works() []work {
	party := func(n int) string { return strconv.Itoa(n % backgroundClients) }
	introspection := func(title string, number func(n int) int) work {
		return work{title: title, name: "IntrospectAccessToken", outcome: "active", authenticates: true, values: func(n int) values {
			return client(party(number(n)), "client_secret_basic").and(values{"token": digest("a", strconv.Itoa(number(n)))})
		}}
	}
	// the families of a chain of rotations, from one on, each of which has its turn when all others had theirs
	rotation := func(from int) func(n int) values {
		return func(n int) values {
			family, g := from+4*(n%chains), n/chains
			number := strconv.Itoa(family)
			token := func(generation int) string {
				if generation == 0 {
					return digest("r", number)
				}
				return digest("g"+strconv.Itoa(generation)+".", number)
			}
			id := fmt.Sprintf("_g%06d.%s", g+1, number)
			return client(party(family), "client_secret_basic").and(values{
				"presented": token(g), "token": token(g), "successor": token(g + 1), "successor_id": "rtk" + id, "access_token_id": "atk" + id,
				"access_token": digest("ga"+strconv.Itoa(g)+".", number), "access_token_lifetime": accessTokenLifetime,
				"refresh_token_lifetime": refreshTokenLifetime, "grace": grace, "grace_until_used": false, "scopes": []string{},
			}).and(defaults)
		}
	}
	const last = background - 4*chains
	return []work{
		introspection("introspection, bound", func(n int) int { return 4*n + 1 }),
		introspection("introspection, unbound", func(n int) int { return 4*n + 3 }),
		{title: "redemption", name: "RedeemAuthorizationCode", outcome: "redeemed", authenticates: true, values: func(n int) values {
			number := strconv.Itoa(2 * n)
			return client(party(2*n), "client_secret_basic").and(values{
				"code": digest("c", number), "redirect_uri": "https://app.bench.example/callback",
				"code_challenge":  "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
				"access_token_id": "atk_n" + number, "access_token": digest("na", number), "access_token_lifetime": accessTokenLifetime,
				"refresh_token_id": "rtk_n" + number, "refresh_token": digest("nr", number), "refresh_token_lifetime": refreshTokenLifetime,
				"family_lifetime": familyLifetime,
			}).and(defaults)
		}},
		{title: "rotation", name: "RotateRefreshToken", outcome: "rotated", authenticates: true, values: rotation(last + 1)},
		{title: "rotation, no access token's row", name: "RotateRefreshToken", outcome: "rotated", authenticates: true, values: func(n int) values {
			return rotation(last - 4*chains + 1)(n).and(values{"access_token_without_row": true, "access_token": nil})
		}},
		{
			title: "retry", name: "RotateRefreshToken", outcome: "retried", authenticates: true, first: rotation(last - 8*chains + 1),
			values: func(n int) values {
				v := rotation(last - 8*chains + 1)(n)
				again := strconv.Itoa(n)
				return v.and(values{"successor_id": "rtk_again" + again, "access_token_id": "atk_again" + again, "access_token": digest("again", again)})
			},
		},
		{title: "client look-up", name: "GetClient", values: func(n int) values { return values{"client_id": clientID(party(n))} }},
		{title: "consent look-up", name: "FindConsent", values: func(int) values {
			return values{"client_id": clientID(large), "user_id": userID(large)}
		}},
	}
}

// spent is what calls cost, each value of one batch.
type spent struct {
	took, processor []time.Duration
	wal             []int64
}

// calls measures what each request makes. The cores take turns, so that what else the machine does meets both.
func calls(ctx context.Context, cores []*core, o options) (string, error) {
	t := report.NewTable(1, "call", "processor time: before", "after", "multiple", "p50: before", "after", "WAL: before", "after")
	for _, w := range works() {
		report.Logf("%s", w.title)
		costs := map[*core]*spent{cores[0]: {}, cores[1]: {}}
		for from := 0; from < o.calls+warm; from += batch {
			for _, c := range cores {
				if err := c.makeCalls(ctx, w, from, costs[c]); err != nil {
					return "", err
				}
			}
		}
		before, after := costs[cores[0]], costs[cores[1]]
		p, q := report.Median(before.processor), report.Median(after.processor)
		t.Row(w.title, report.Took(p), report.Took(q), report.Decimals(float64(q)/float64(p)), report.Took(report.Median(before.took)), report.Took(report.Median(after.took)),
			report.Bytes(report.Median(before.wal)), report.Bytes(report.Median(after.wal)))
	}
	return t.String(), nil
}

// makeCalls makes a batch of calls and adds what they cost, unless it is the first.
func (c *core) makeCalls(ctx context.Context, w work, from int, costs *spent) error {
	for n := from; n < from+batch; n++ {
		if err := c.rotateFirst(ctx, w, n); err != nil {
			return err
		}
	}
	walBefore, err := c.wal(ctx)
	if err != nil {
		return err
	}
	pid := int(c.conn.PgConn().PID())
	usedBefore, err := machine.Used(pid)
	if err != nil {
		return fmt.Errorf("ask Linux, on which the server has to run, for its processor time: %w", err)
	}
	began := time.Now()
	for n := from; n < from+batch; n++ {
		if err := c.makeCall(ctx, w, n); err != nil {
			return err
		}
	}
	took := time.Since(began)
	used, err := machine.Used(pid)
	if err != nil {
		return err
	}
	wal, err := c.wal(ctx)
	if err == nil && from > 0 {
		costs.took, costs.processor = append(costs.took, took/batch), append(costs.processor, (used-usedBefore)/batch)
		costs.wal = append(costs.wal, (wal-walBefore)/batch)
	}
	return err
}

// rotateFirst makes the rotation that goes before a call, if one does.
func (c *core) rotateFirst(ctx context.Context, w work, n int) error {
	if w.first == nil {
		return nil
	}
	outcome, err := c.call(ctx, c.conn, "RotateRefreshToken", w.first(n))
	if err == nil && outcome != "rotated" {
		err = fmt.Errorf("before %s of %s: %s", w.title, c.name, outcome)
	}
	return err
}

// makeCall makes a call, after the client has authenticated if that takes a call of its own. The earlier core has other outcomes.
func (c *core) makeCall(ctx context.Context, w work, n int) error {
	if c.authenticatesApart && w.authenticates {
		if _, err := c.call(ctx, c.conn, "AuthenticateClient", w.values(n)); err != nil {
			return err
		}
	}
	outcome, err := c.call(ctx, c.conn, w.name, w.values(n))
	if err == nil && w.outcome != "" && outcome != w.outcome && !c.authenticatesApart {
		err = fmt.Errorf("%s of %s: %s, want %s", w.name, c.name, outcome, w.outcome)
	}
	return err
}

func (c *core) wal(ctx context.Context) (n int64, err error) {
	err = c.conn.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&n)
	return n, err
}
