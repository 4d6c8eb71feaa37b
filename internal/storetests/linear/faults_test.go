package linear

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
)

// faults are places in which a query or a routine is broken. One of each kind is always tried.
var faults = []struct {
	in, name string
	mood     string
	right    string // a regular expression, with one match
	wrong    string
	always   bool
}{
	{"RedeemAuthorizationCode", "the family is not locked", "codes", ` FOR NO KEY UPDATE OF a\n`, "\n", true},
	{"RotateRefreshToken", "the gate goes by what was read before", "rotations", `AND p\.fresh AND t\.revoked IS NULL`, `AND p.fresh AND (p.r).revoked IS NULL`, true},
	{"RotateRefreshToken", "the successor is not recorded", "rotations", `successor = \$\d+::token_digest, successor_id = \$\d+::refresh_token_id, updated_at`, `updated_at`, true},
	{"RevokeUserAuthorizations", "nothing is raised", "rotations", `grants_epoch = u\.grants_epoch \+ 1`, `grants_epoch = u.grants_epoch`, true},
	{"granter_refusal", "a session that is over", "sessions", `\(?of_session IS NOT NULL\)? AND`, `false AND`, false},
	{"PollDeviceCode", "the gate has no condition", "devices", `AND a\.redeemed_at IS NULL AND a\.revoked_at IS NULL`, ``, false},
	{"ApproveAuthorization", "the family is not locked", "codes", ` FOR NO KEY UPDATE OF a\n`, "\n", false},
	{
		"proof_is_fresh", "it asks first and writes then", "gates", `INSERT INTO oauth_proof [^;]*;\s*RETURN FOUND;`,
		`IF EXISTS (SELECT FROM oauth_proof WHERE id = proof) THEN RETURN false; END IF;
		PERFORM pg_sleep(0.005); -- a window that a busy machine has, too
		INSERT INTO oauth_proof (id, expires_at) VALUES (proof, until) ON CONFLICT (id) DO NOTHING; RETURN true;`, true,
	},
	{"RedeemOneTimeCode", "the code is not locked", "gates", ` FOR UPDATE\n`, "\n", false},
	{"UseRecoveryCode", "the code is not locked", "gates", ` FOR NO KEY UPDATE OF c\n`, "\n", false},
	{"make_room_for_session", "sign-ins are not one after the other", "sessions", `PERFORM FROM "user" AS u WHERE u\.id = owner FOR NO KEY UPDATE;`, ``, false},
	{"refuse_dead_rotation", "another server spends a dead token", "foreign", `CASE WHEN is_live\(a, c, u, s\)`, `CASE WHEN true`, false},
}

var queries = map[string]string{
	"RedeemAuthorizationCode": store.SQL("RedeemAuthorizationCode"), "RotateRefreshToken": store.SQL("RotateRefreshToken"),
	"RevokeUserAuthorizations": store.SQL("RevokeUserAuthorizations"), "PollDeviceCode": store.SQL("PollDeviceCode"),
	"ApproveAuthorization": store.SQL("ApproveAuthorization"), "RedeemOneTimeCode": store.SQL("RedeemOneTimeCode"), "UseRecoveryCode": store.SQL("UseRecoveryCode"),
}

// rewritten runs one query as another.
type rewritten struct {
	store.DBTX
	right, wrong string
}

func (r rewritten) rewrite(sql string) string {
	if sql == r.right {
		return r.wrong
	}
	return sql
}

func (r rewritten) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return r.DBTX.Exec(ctx, r.rewrite(sql), args...)
}

func (r rewritten) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.DBTX.Query(ctx, r.rewrite(sql), args...)
}

func (r rewritten) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return r.DBTX.QueryRow(ctx, r.rewrite(sql), args...)
}

// most is how many calls may pass before a fault is found: what takes less than ten seconds, if nothing else runs on the machine.
const most = 10_000

var allFaults = flag.Bool("faults", false, "try all faults, not only one of each kind")

// TestFaults breaks the queries and the routines, one place at a time, and wants a history to be rejected soon.
func TestFaults(t *testing.T) {
	t.Parallel()
	pool := newPool(t, *workers)
	for n, f := range faults {
		if !f.always && !*allFaults {
			continue
		}
		t.Run(f.in+"/"+f.name, func(t *testing.T) {
			right, isQuery := queries[f.in]
			if !isQuery {
				err := pool.QueryRow(t.Context(), `SELECT pg_get_functiondef(p.oid) FROM pg_proc AS p WHERE p.proname = $1`, f.in).Scan(&right)
				if err != nil {
					t.Fatal(err)
				}
			}
			place := regexp.MustCompile(f.right)
			if found := len(place.FindAllString(right, -1)); found != 1 {
				t.Fatalf("it has changed: %s is in it %d times", f.right, found)
			}
			wrong := place.ReplaceAllLiteralString(right, f.wrong)
			var db store.DBTX = pool
			if isQuery {
				db = rewritten{pool, right, wrong}
			} else {
				replace := func(sql string) {
					if _, err := pool.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
						t.Fatal(err)
					}
				}
				replace(wrong)
				defer replace(right)
			}
			began, calls := time.Now(), 0
			for i := 0; calls < most; i++ {
				w, err := play(t.Context(), db, fmt.Sprintf("f%d-%d", n, i), f.mood, uint64(i))
				if w != nil {
					calls += w.Calls()
				}
				if err != nil {
					t.Logf("rejected after %v and %d calls: %v", time.Since(began), calls, err)
					return
				}
				if v := w.judge(5 * time.Second); v.Result == porcupine.Illegal {
					t.Logf("rejected after %v and %d calls:\n%s", time.Since(began), calls, v)
					return
				}
			}
			t.Errorf("nothing was wrong with %d calls", calls)
		})
	}
}

// play lets workers make calls about a world.
func play(ctx context.Context, db store.DBTX, name, mood string, seed uint64) (*World, error) {
	w, err := newWorld(ctx, db, name, mood)
	if err != nil {
		return nil, err
	}
	errs := make([]error, *workers)
	var working sync.WaitGroup
	for i := range errs {
		working.Go(func() { errs[i] = w.Work(ctx, db, i, each / *workers, seed) })
	}
	working.Wait()
	for _, err := range errs {
		if err != nil {
			return w, err
		}
	}
	return w, nil
}
