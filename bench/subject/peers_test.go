package subject_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

// conns is how many requests race.
const conns = 8

func peers() []subject.Subject {
	return []subject.Subject{
		subject.NewTransaction(false), subject.NewTransaction(true), subject.NewGORM(), subject.NewGoOAuth2(),
	}
}

// world is a database with one user and one client, and what tests add to it, all of it twice: in the tables of this project and in
// those of go-oauth2.
type world struct {
	*testing.T
	db      *storetest.DB
	subject subject.Subject
	session subject.Session
	next    int64
}

// forEachPeer runs a test for each subject, with a database of its own.
func forEachPeer(t *testing.T, test func(w *world)) {
	t.Parallel()
	for _, s := range peers() {
		t.Run(s.Name(), func(t *testing.T) {
			t.Parallel()
			w := &world{T: t, db: storetest.New(t), subject: s}
			w.exec(dataset.PeerTable)
			w.exec(`INSERT INTO "user" (id, name, email) VALUES ($1, 'Ada', 'ada@bench.example')`, dataset.User(0))
			for n := range int64(2) {
				w.exec(`
					INSERT INTO oauth_client (id, client_id, redirect_uris, scopes, grant_types, token_endpoint_auth_method, public)
					VALUES ($1, $2, ARRAY[$3], $4, ARRAY['authorization_code', 'refresh_token'], 'none', true)`,
					"ocl_"+fmt.Sprint(n), dataset.Client(n), dataset.RedirectURI, dataset.Scopes)
				client, err := json.Marshal(models.Client{ID: string(dataset.Client(n)), Domain: dataset.RedirectURI, Public: true})
				w.ok(err)
				w.exec(`INSERT INTO oauth2_client (id, secret, domain, data) VALUES ($1, '', $2, $3)`, dataset.Client(n), dataset.RedirectURI, client)
			}
			w.exec(`INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ('cns_0', $1, $2, $3)`, dataset.Client(0), dataset.User(0), dataset.Scopes)
			session, err := s.Open(t.Context(), w.db.URL, conns)
			w.ok(err)
			t.Cleanup(session.Close)
			w.session = session
			test(w)
		})
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	_, err := w.db.Pool.Exec(w.Context(), sql, args...)
	w.ok(err)
}

func (w *world) count(sql string, args ...any) (n int) {
	w.Helper()
	w.ok(w.db.Pool.QueryRow(w.Context(), sql, args...).Scan(&n))
	return n
}

// ours reports whether the subject works on the tables of this project.
func (w *world) ours() bool { return w.subject.Name() != "go-oauth2" }

// family is a number by which a family's rows are named.
type family int64

func (f family) authorization() store.AuthorizationID { return dataset.Authorization(int64(f)) }
func (f family) code() token.Digest                   { return dataset.Digest("c", int64(f), 0) }
func (f family) session() store.SessionID             { return dataset.Session(int64(f)) }
func (f family) access(generation int64) token.Digest {
	return dataset.Digest("a", int64(f), generation)
}

func (f family) refresh(generation int64) token.Digest {
	return dataset.Digest("r", int64(f), generation)
}

func (f family) accessID(generation int64) store.AccessTokenID {
	return store.AccessTokenID(fmt.Sprintf("atk_%d_%d", f, generation))
}

func (f family) refreshID(generation int64) store.RefreshTokenID {
	return store.RefreshTokenID(fmt.Sprintf("rtk_%d_%d", f, generation))
}

// redeem, rotate, revoke and introspect are cases; what they issue is of a generation.
func (f family) redeem(generation int64) *subject.Case {
	return &subject.Case{
		Presented: f.code(), ClientID: dataset.Client(0), RedirectURI: dataset.RedirectURI, CodeChallenge: dataset.CodeChallenge,
		AccessToken: f.access(generation), AccessTokenID: f.accessID(generation),
		RefreshToken: f.refresh(generation), RefreshTokenID: f.refreshID(generation),
	}
}

func (f family) rotate(presented, generation int64) *subject.Case {
	c := f.redeem(generation)
	c.Presented = f.refresh(presented)
	return c
}

func (f family) revoke(presented int64) *subject.Case {
	return &subject.Case{Presented: f.refresh(presented), ClientID: dataset.Client(0)}
}

func (f family) introspect(generation int64) *subject.Case {
	return &subject.Case{Presented: f.access(generation), ClientID: dataset.Client(0)}
}

func (f family) endSession() *subject.Case { return &subject.Case{SessionID: f.session()} }

// approved is a new family that has its code, for scopes, in a session of its own.
func (w *world) approved(expires time.Time, scopes ...string) family {
	w.Helper()
	w.next++
	f := family(w.next)
	w.exec(`INSERT INTO session (id, user_id, token, expires_at) VALUES ($1, $2, $3, now() + interval '1 day')`, f.session(), dataset.User(0), dataset.Digest("s", int64(f), 0))
	w.exec(`
		INSERT INTO oauth_authorization (
			id, client_id, status, redirect_uri, response_type, scopes, granted_scopes, code_challenge, code_challenge_method, expires_at,
			user_id, session_id, auth_time, code, code_expires_at, bound, user_epoch, client_epoch, pair_epoch
		)
		VALUES ($1, $2, 'approved', $3, 'code', $4::text[], $4::text[], $5, 'S256', $6, $7, $8, now(), $9, $6, NOT 'offline_access' = ANY ($4::text[]), 0, 0, 0)`,
		f.authorization(), dataset.Client(0), dataset.RedirectURI, scopes, dataset.CodeChallenge, expires, dataset.User(0), f.session(), f.code())
	created := time.Now().Add(-time.Hour)
	w.peerRow(created, f.code(), "", "", expires.Sub(created))
	return f
}

// granted is a new family that has redeemed its code for tokens of generation 0.
func (w *world) granted(expires time.Time, scopes ...string) family {
	w.Helper()
	f := w.approved(expires, scopes...)
	w.exec(`
		INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, expires_at, scopes, authorization_id, auth_time)
		SELECT $2, $3, a.client_id, a.session_id, a.user_id, a.expires_at, a.granted_scopes, a.id, a.auth_time
		FROM oauth_authorization AS a
		WHERE a.id = $1`, f.authorization(), f.refreshID(0), f.refresh(0))
	w.exec(`
		INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, refresh_id, expires_at, scopes, authorization_id)
		SELECT $2, $3, a.client_id, a.session_id, a.user_id, $4, a.expires_at, a.granted_scopes, a.id
		FROM oauth_authorization AS a
		WHERE a.id = $1`, f.authorization(), f.accessID(0), f.access(0), f.refreshID(0))
	w.exec(`UPDATE oauth_authorization SET redeemed_at = now(), max_expires_at = now() + interval '1 year', expires_at = NULL WHERE id = $1`, f.authorization())
	w.exec(`DELETE FROM oauth2_token WHERE code = $1`, f.code())
	created := time.Now().Add(-time.Hour)
	w.peerRow(created, "", f.access(0), f.refresh(0), expires.Sub(created))
	return f
}

func (w *world) peerRow(created time.Time, code, access, refresh token.Digest, lifetime time.Duration) {
	w.Helper()
	data, err := dataset.PeerTokenJSON(created, code, access, refresh, string(dataset.Client(0)), string(dataset.User(0)), lifetime, code != "")
	w.ok(err)
	w.exec(`INSERT INTO oauth2_token (created_at, expires_at, code, access, refresh, data) VALUES ($1, $2, $3, $4, $5, $6)`,
		created, created.Add(lifetime), string(code), string(access), string(refresh), data)
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }

func (w *world) do(work subject.Work, c *subject.Case) {
	w.Helper()
	w.ok(w.session.Do(w.Context(), work, c))
}

// refuses demands that the outcome is reported as not the one that the work calls for.
func (w *world) refuses(work subject.Work, c *subject.Case) {
	w.Helper()
	if err := w.session.Do(w.Context(), work, c); err == nil || errors.Is(err, subject.ErrUnsupported) {
		w.Errorf("%s: %v, where the subject should have noticed the outcome", work, err)
	}
}

func TestPeersIntrospect(t *testing.T) {
	forEachPeer(t, func(w *world) {
		live, expired := w.granted(tomorrow(), dataset.Scopes...), w.granted(time.Now().Add(-time.Minute), dataset.Scopes...)
		w.do(subject.IntrospectHit, live.introspect(0))
		w.do(subject.IntrospectMiss, live.introspect(9))
		w.do(subject.IntrospectExpired, expired.introspect(0))

		w.refuses(subject.IntrospectHit, live.introspect(9))
		w.refuses(subject.IntrospectHit, expired.introspect(0))
		w.refuses(subject.IntrospectMiss, live.introspect(0))
		w.refuses(subject.IntrospectMiss, expired.introspect(0))
		w.refuses(subject.IntrospectExpired, live.introspect(0))
		w.refuses(subject.IntrospectExpired, live.introspect(9))
		other := live.introspect(0)
		other.ClientID = dataset.Client(1)
		w.refuses(subject.IntrospectHit, other)
		if !w.ours() {
			return
		}
		w.exec(`UPDATE oauth_client SET disabled = true`)
		w.refuses(subject.IntrospectHit, live.introspect(0))
		w.exec(`UPDATE oauth_client SET disabled = false`)
		w.exec(`UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'grants_ended'`)
		w.refuses(subject.IntrospectHit, live.introspect(0))
	})
}

func TestPeersRedeem(t *testing.T) {
	forEachPeer(t, func(w *world) {
		f, bystander := w.approved(tomorrow(), dataset.Scopes...), w.approved(tomorrow(), dataset.Scopes...)
		for _, spoil := range []func(c *subject.Case){
			func(c *subject.Case) { c.ClientID = dataset.Client(1) },
			func(c *subject.Case) { c.RedirectURI = "https://app.bench.example/other" },
			func(c *subject.Case) { c.Presented = f.refresh(7) },
		} {
			c := f.redeem(1)
			spoil(c)
			w.refuses(subject.Redeem, c)
		}
		if w.ours() { // the case has a challenge, go-oauth2 asks for the verifier
			c := f.redeem(1)
			c.CodeChallenge = string(f.code())
			w.refuses(subject.Redeem, c)
		}
		w.refuses(subject.Redeem, w.approved(time.Now().Add(-time.Minute), dataset.Scopes...).redeem(1))

		w.do(subject.Redeem, f.redeem(1))
		w.issuedOnce(f, 1)
		if w.ours() && w.count(`
			SELECT count(*)
			FROM oauth_authorization AS a
			WHERE a.id = $1 AND a.redeemed_at IS NOT NULL AND a.revoked_at IS NULL AND a.expires_at IS NULL
			  AND a.max_expires_at > now() + interval '364 days' AND a.updated_at > a.created_at`, f.authorization()) != 1 {
			w.Error("the authorization is not marked as redeemed")
		}

		w.refuses(subject.Redeem, f.redeem(2))
		if w.ours() {
			w.revokedFor(f, "code_replayed")
		}
		w.do(subject.Redeem, bystander.redeem(1))
	})
}

// issuedOnce demands that the tokens of a generation are there, live, and the only ones of the family that are.
func (w *world) issuedOnce(f family, generation int64) {
	w.Helper()
	w.do(subject.IntrospectHit, f.introspect(generation))
	if !w.ours() {
		if n := w.count(`
			SELECT count(*)
			FROM oauth2_token AS t
			WHERE t.access = $1 AND t.refresh = $2 AND t.code = '' AND t.expires_at > now() + interval '29 days'
			  AND t.data ->> 'Access' = $1 AND t.data ->> 'Refresh' = $2 AND t.data ->> 'Scope' = $3`,
			f.access(generation), f.refresh(generation), strings.Join(dataset.Scopes, " ")); n != 1 {
			w.Errorf("%d rows with the tokens issued", n)
		}
		return
	}
	if n := w.count(`
		SELECT count(*)
		FROM oauth_refresh_token AS r
		JOIN oauth_authorization AS a ON a.id = r.authorization_id
		WHERE a.id = $1 AND r.token = $2 AND r.id = $3 AND r.revoked IS NULL AND r.scopes = a.granted_scopes AND r.client_id = a.client_id
		  AND r.user_id = a.user_id AND r.session_id = a.session_id AND r.auth_time = a.auth_time
		  AND r.expires_at BETWEEN now() + interval '29 days' AND now() + interval '30 days'`,
		f.authorization(), f.refresh(generation), f.refreshID(generation)); n != 1 {
		w.Errorf("%d refresh tokens as they should be", n)
	}
	if n := w.count(`SELECT count(*) FROM oauth_refresh_token WHERE authorization_id = $1 AND revoked IS NULL`, f.authorization()); n != 1 {
		w.Errorf("%d refresh tokens that are not spent", n)
	}
	if n := w.count(`
		SELECT count(*)
		FROM oauth_access_token AS t
		JOIN oauth_authorization AS a ON a.id = t.authorization_id
		WHERE a.id = $1 AND t.token = $2 AND t.id = $3 AND t.refresh_id = $4 AND t.revoked IS NULL AND t.scopes = a.granted_scopes
		  AND t.client_id = a.client_id AND t.user_id = a.user_id AND t.session_id = a.session_id
		  AND t.expires_at BETWEEN now() + interval '50 minutes' AND now() + interval '1 hour'`,
		f.authorization(), f.access(generation), f.accessID(generation), f.refreshID(generation)); n != 1 {
		w.Errorf("%d access tokens as they should be", n)
	}
	if n := w.count(`SELECT count(*) FROM oauth_access_token WHERE authorization_id = $1 AND id <> $2`, f.authorization(), f.accessID(0)); n != 1 {
		w.Errorf("%d access tokens were written", n)
	}
}

func (w *world) revokedFor(f family, reason string) {
	w.Helper()
	if w.count(`SELECT count(*) FROM oauth_authorization WHERE id = $1 AND revoked_reason::text = $2`, f.authorization(), reason) != 1 {
		w.Errorf("the family was not revoked, or for another reason than %s", reason)
	}
}

func TestPeersRotate(t *testing.T) {
	forEachPeer(t, func(w *world) {
		f, bystander := w.granted(tomorrow(), dataset.Scopes...), w.granted(tomorrow(), dataset.Scopes...)
		other := f.rotate(0, 1)
		if other.ClientID = dataset.Client(1); w.ours() { // the manager of go-oauth2 notices too late
			w.refuses(subject.Rotate, other)
		}
		w.refuses(subject.Rotate, f.rotate(9, 1))

		w.do(subject.Rotate, f.rotate(0, 1))
		w.issuedOnce(f, 1)
		if w.ours() {
			if w.count(`
				SELECT count(*)
				FROM oauth_refresh_token
				WHERE id = $1 AND revoked IS NOT NULL AND successor = $2 AND successor_id = $3 AND updated_at > created_at`,
				f.refreshID(0), f.refresh(1), f.refreshID(1)) != 1 {
				w.Error("the token was not spent for its successor")
			}
		} else if w.count(`SELECT count(*) FROM oauth2_token WHERE access = $1 OR refresh = $2`, f.access(0), f.refresh(0)) != 0 {
			w.Error("the row of the old tokens is still there")
		}

		w.refuses(subject.Rotate, f.rotate(0, 2))
		if w.ours() {
			w.revokedFor(f, "refresh_token_reused")
			w.refuses(subject.Rotate, f.rotate(1, 2))
			w.exec(`UPDATE oauth_refresh_token SET expires_at = now() WHERE id = $1`, bystander.refreshID(0))
			w.refuses(subject.Rotate, bystander.rotate(0, 1))
		} else {
			w.do(subject.Rotate, f.rotate(1, 2))
			w.do(subject.Rotate, bystander.rotate(0, 1))
		}
	})
}

func TestPeersRevoke(t *testing.T) {
	forEachPeer(t, func(w *world) {
		f, bystander := w.granted(tomorrow(), dataset.Scopes...), w.granted(tomorrow(), dataset.Scopes...)
		other := f.revoke(0)
		other.ClientID = dataset.Client(1)
		w.refuses(subject.Revoke, other)
		w.refuses(subject.Revoke, f.revoke(9))
		w.do(subject.IntrospectHit, f.introspect(0))

		w.do(subject.Revoke, f.revoke(0))
		if w.ours() {
			w.revokedFor(f, "token_revoked")
		}
		w.refuses(subject.IntrospectHit, f.introspect(0))
		w.refuses(subject.Rotate, f.rotate(0, 1))
		w.refuses(subject.Revoke, f.revoke(0))
		w.do(subject.IntrospectHit, bystander.introspect(0))
	})
}

func TestPeersConsentAndClient(t *testing.T) {
	forEachPeer(t, func(w *world) {
		w.do(subject.Client, &subject.Case{ClientID: dataset.Client(0)})
		w.refuses(subject.Client, &subject.Case{ClientID: dataset.Client(7)})
		if w.subject.Supports(subject.Consent) {
			w.do(subject.Consent, &subject.Case{ClientID: dataset.Client(0), UserID: dataset.User(0)})
			w.refuses(subject.Consent, &subject.Case{ClientID: dataset.Client(1), UserID: dataset.User(0)})
		}
	})
}

func TestPeersEndSession(t *testing.T) {
	forEachPeer(t, func(w *world) {
		if !w.subject.Supports(subject.EndSession) {
			w.Skip("has no sessions")
		}
		f, bystander, offline := w.granted(tomorrow(), "openid"), w.granted(tomorrow(), "openid"), w.granted(tomorrow(), dataset.Scopes...)
		w.exec(`UPDATE oauth_authorization SET session_id = $2 WHERE id = $1`, offline.authorization(), f.session())
		w.do(subject.EndSession, f.endSession())
		w.revokedFor(f, "session_ended")
		w.refuses(subject.IntrospectHit, f.introspect(0))
		w.do(subject.IntrospectHit, offline.introspect(0))
		w.do(subject.IntrospectHit, bystander.introspect(0))
		if n := w.count(`SELECT count(*) FROM session WHERE id = $1`, f.session()); n != 0 {
			w.Error("the session is still there")
		}
		w.refuses(subject.EndSession, f.endSession())
	})
}

func TestPeersSaySoWhenTheyHaveNoAnswer(t *testing.T) {
	forEachPeer(t, func(w *world) {
		f := w.granted(tomorrow(), dataset.Scopes...)
		for _, work := range append([]subject.Work{"none"}, subject.Works...) {
			err := w.session.Do(w.Context(), work, f.rotate(0, 1))
			if errors.Is(err, subject.ErrUnsupported) == w.subject.Supports(work) {
				w.Errorf("%s: Supports says %v, and Do: %v", work, w.subject.Supports(work), err)
			}
		}
	})
}

// race runs n requests at the same moment and returns their errors. None of them may be the server's.
func (w *world) race(n int, request func(i int64) error) []error {
	w.Helper()
	errs := w.raceAtAnyCost(n, request)
	var refused *pgconn.PgError
	if errors.As(errors.Join(errs...), &refused) {
		w.Errorf("the server has refused a request: %v", refused)
	}
	return errs
}

func (w *world) raceAtAnyCost(n int, request func(i int64) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = request(int64(i))
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func successes(errs []error) (generations []int64) {
	for i, err := range errs {
		if err == nil {
			generations = append(generations, int64(i)+1)
		}
	}
	return generations
}

// live counts the tokens of generations that are.
func (w *world) live(f family, generations []int64) (access, refresh int) {
	w.Helper()
	for _, g := range generations {
		if w.session.Do(w.Context(), subject.IntrospectHit, f.introspect(g)) == nil {
			access++
		}
		if w.ours() {
			refresh += w.count(`
				SELECT count(*)
				FROM oauth_refresh_token AS r
				JOIN oauth_authorization AS a ON a.id = r.authorization_id
				WHERE r.token = $1 AND r.revoked IS NULL AND a.revoked_at IS NULL`, f.refresh(g))
		} else {
			refresh += w.count(`SELECT count(*) FROM oauth2_token WHERE refresh = $1`, f.refresh(g))
		}
	}
	return access, refresh
}

// rounds in which a race has to show that is claimed, and in which none may that is not.
const (
	claimedRounds = 500
	safeRounds    = 40
)

// raceRound runs a race once and returns whether what is claimed of it showed in a round.
type raceRound func(w *world, round int) (shown bool)

// Without locks one code is redeemed several times, and each time for live tokens.
func redeemRound(w *world, _ int) bool {
	f := w.approved(tomorrow(), dataset.Scopes...)
	won := successes(w.race(conns, func(i int64) error { return w.session.Do(w.Context(), subject.Redeem, f.redeem(i+1)) }))
	if len(won) == 0 {
		w.Error("nobody got tokens for the code")
	}
	access, refresh := w.live(f, won)
	return len(won) > 1 && access > 1 && refresh > 1
}

// Without locks one refresh token gets several successors, all of them live.
func rotateRound(w *world, _ int) bool {
	f := w.granted(tomorrow(), dataset.Scopes...)
	won := successes(w.race(conns, func(i int64) error { return w.session.Do(w.Context(), subject.Rotate, f.rotate(0, i+1)) }))
	if len(won) == 0 {
		w.Error("nobody got a successor")
	}
	access, refresh := w.live(f, won)
	return len(won) > 1 && access > 1 && refresh > 1
}

// A request that comes a little later than another with the same token ends the grant.
func retryRound(w *world, round int) bool {
	f := w.granted(tomorrow(), dataset.Scopes...)
	won := successes(w.race(conns, func(i int64) error {
		time.Sleep(time.Duration(i) * time.Duration(round%10) * 100 * time.Microsecond)
		return w.session.Do(w.Context(), subject.Rotate, f.rotate(0, i+1))
	}))
	access, _ := w.live(f, won)
	return len(won) > 0 && access == 0 &&
		w.count(`SELECT count(*) FROM oauth_authorization WHERE id = $1 AND revoked_reason = 'refresh_token_reused'`, f.authorization()) == 1
}

// What a refresh issues outlives a revocation that succeeded.
func revokeRound(w *world, _ int) bool {
	f := w.granted(tomorrow(), dataset.Scopes...)
	errs := w.race(conns, func(i int64) error {
		if i%2 == 0 {
			return w.session.Do(w.Context(), subject.Rotate, f.rotate(0, i+1))
		}
		return w.session.Do(w.Context(), subject.Revoke, f.revoke(0))
	})
	var issued []int64
	revoked := false
	for i, err := range errs {
		switch {
		case err == nil && i%2 == 0:
			issued = append(issued, int64(i)+1)
		case err == nil:
			revoked = true
		}
	}
	access, refresh := w.live(f, issued)
	return revoked && access > 0 && refresh > 0
}

// What is granted in a session while it ends outlives it.
func endSessionRound(w *world, _ int) bool {
	f := w.granted(tomorrow(), "openid")
	errs := w.race(conns, func(i int64) error {
		if i == 0 {
			time.Sleep(2 * time.Millisecond)
			return w.session.Do(w.Context(), subject.EndSession, f.endSession())
		}
		for n := int64(0); ; n++ {
			session, code := f.session(), dataset.Digest(fmt.Sprintf("g%d.%d.", f, i), n, 0)
			redirectURI, responseType, challenge, method := dataset.RedirectURI, "code", token.S256("verifier"), "S256"
			granted, err := w.db.Store.GrantAuthorization(w.Context(), store.GrantAuthorizationParams{
				ID: store.AuthorizationID(fmt.Sprintf("azn_granted_%d_%d_%d", f, i, n)), ClientID: dataset.Client(0), UserID: dataset.User(0),
				SessionID: &session, RedirectURI: &redirectURI, Scopes: []string{"openid"}, GrantedScopes: []string{"openid"},
				DefaultScopes: []string{"openid"}, ResponseType: &responseType, CodeChallenge: &challenge, CodeChallengeMethod: &method,
				Code: code, CodeLifetime: time.Minute,
			})
			if err != nil || granted != store.OutcomeGranted {
				return err // the session is over
			}
		}
	})
	w.ok(errors.Join(errs...))
	return w.count(`SELECT count(*) FROM oauth_authorization WHERE id LIKE $1 AND revoked_at IS NULL`, fmt.Sprintf(`azn\_granted\_%d\_%%`, f)) > 0
}

// The end of a session and a refresh in it deadlock.
func deadlockRound(w *world, _ int) bool {
	ended := w.granted(tomorrow(), "openid")
	families := []family{ended}
	for range 2 { // each deadlock takes a second to be noticed
		f := w.granted(tomorrow(), "openid")
		for _, table := range []string{"oauth_authorization", "oauth_refresh_token", "oauth_access_token"} {
			w.exec(`UPDATE `+table+` SET session_id = $2 WHERE session_id = $1`, f.session(), ended.session())
		}
		families = append(families, f)
	}
	errs := w.raceAtAnyCost(len(families)+1, func(i int64) error {
		if int(i) == len(families) {
			time.Sleep(time.Millisecond)
			return w.session.Do(w.Context(), subject.EndSession, ended.endSession())
		}
		return w.session.Do(w.Context(), subject.Rotate, families[i].rotate(0, 1))
	})
	var refused *pgconn.PgError
	return slices.ContainsFunc(errs, func(err error) bool { return errors.As(err, &refused) && refused.Code == deadlockDetected })
}

const deadlockDetected = "40P01"

// raceRounds are the races of works that write. Several for a work, where its claim has several parts.
var raceRounds = map[subject.Work][]raceRound{
	subject.Redeem:     {redeemRound},
	subject.Rotate:     {rotateRound, retryRound},
	subject.Revoke:     {revokeRound},
	subject.EndSession: {endSessionRound, deadlockRound},
}

// TestPeersRaceAsTheySay reproduces what each subject says of itself, and that it says all of it.
func TestPeersRaceAsTheySay(t *testing.T) {
	forEachPeer(t, func(w *world) {
		for _, work := range subject.Works {
			claim := w.subject.Race(work)
			if !w.subject.Supports(work) {
				if claim != "" {
					w.Errorf("%s: %s, of what the subject doesn't do", work, claim)
				}
				continue
			}
			if claim != "" && raceRounds[work] == nil {
				w.Errorf("%s: no race shows that %s", work, claim)
			}
			for n, round := range raceRounds[work] {
				w.holds(work, n, claim != "" && !exempt(w.subject, work, n), round)
			}
		}
	})
}

// exempt is a part of a work's claim that a subject doesn't make.
func exempt(s subject.Subject, work subject.Work, part int) bool {
	switch {
	case s.Name() == "tx-lock" && work == subject.Rotate:
		return part == 0 // there is one successor, and that is all
	case s.Name() == "tx-lock" && work == subject.EndSession:
		return part == 0 // nothing outlives the session
	case s.Name() == "go-oauth2" && work == subject.Rotate:
		return part == 1 // a retry is refused, and ends nothing
	default:
		return false
	}
}

func (w *world) holds(work subject.Work, part int, claimed bool, round raceRound) {
	w.Helper()
	if !claimed {
		for n := range safeRounds {
			if round(w, n) {
				w.Errorf("%s, part %d: a race that the subject doesn't tell of, in round %d", work, part, n)
				return
			}
		}
		return
	}
	for n := range claimedRounds {
		if round(w, n) {
			w.Logf("%s, part %d: shown in round %d", work, part, n)
			return
		}
	}
	w.Errorf("%s, part %d: %q does not show in %d rounds", work, part, w.subject.Race(work), claimedRounds)
}

// TestLockedTransactionSpendsOnce is the other side of tx-lock: of racing requests exactly one succeeds, every time.
func TestLockedTransactionSpendsOnce(t *testing.T) {
	forEachPeer(t, func(w *world) {
		if w.subject.Name() != "tx-lock" {
			w.Skip("races")
		}
		for range safeRounds {
			f := w.approved(tomorrow(), dataset.Scopes...)
			if won := successes(w.race(conns, func(i int64) error { return w.session.Do(w.Context(), subject.Redeem, f.redeem(i+1)) })); len(won) != 1 {
				w.Fatalf("a code was redeemed %d times", len(won))
			}
			w.revokedFor(f, "code_replayed")
			f = w.granted(tomorrow(), dataset.Scopes...)
			if won := successes(w.race(conns, func(i int64) error { return w.session.Do(w.Context(), subject.Rotate, f.rotate(0, i+1)) })); len(won) != 1 {
				w.Fatalf("a refresh token got %d successors", len(won))
			}
			w.revokedFor(f, "refresh_token_reused")
		}
	})
}

func TestPeerTokenJSONIsThatOfTheLibrary(t *testing.T) {
	t.Parallel()
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("Nepal", 20700)} {
		now := time.Date(2026, 2, 3, 4, 5, 6, 789_000_000, zone)
		code, access, refresh := family(1).code(), family(1).access(0), family(1).refresh(0)
		base := models.Token{
			ClientID: "cli_1", UserID: "usr_1", RedirectURI: dataset.RedirectURI, Scope: strings.Join(dataset.Scopes, " "), Extension: url.Values{},
		}
		withCode := base
		withCode.Code, withCode.CodeCreateAt, withCode.CodeExpiresIn = string(code), now.UTC(), time.Minute
		withChallenge := withCode
		withChallenge.CodeChallenge, withChallenge.CodeChallengeMethod = dataset.CodeChallenge, "S256"
		withAccess := base
		withAccess.Access, withAccess.AccessCreateAt, withAccess.AccessExpiresIn = string(access), now.UTC(), time.Minute
		withRefresh := withAccess
		withRefresh.Refresh, withRefresh.RefreshCreateAt, withRefresh.RefreshExpiresIn = string(refresh), now.UTC(), subject.RefreshTokenLifetime
		for _, c := range []struct {
			code, access, refresh token.Digest
			challenge             bool
			want                  models.Token
		}{
			{code, "", "", false, withCode},
			{code, "", "", true, withChallenge},
			{"", access, "", false, withAccess},
			{"", access, refresh, false, withRefresh},
		} {
			want, err := json.Marshal(&c.want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := dataset.PeerTokenJSON(now, c.code, c.access, c.refresh, "cli_1", "usr_1", time.Minute, c.challenge)
			if err != nil || string(got) != string(want) {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
			}
		}
	}
	for _, c := range []struct {
		code, access, refresh token.Digest
		client                string
	}{
		{"", "", "", "c"},
		{"x", "y", "", "c"},
		{"x", "", "z", "c"},
		{"x", "", "", `"`},
		{"x", "", "", "<"},
		{`\`, "", "", "c"},
	} {
		if got, err := dataset.PeerTokenJSON(time.Now(), c.code, c.access, c.refresh, c.client, "u", time.Minute, false); err == nil {
			t.Errorf("%+v: rendered as %s", c, got)
		}
	}
}

func BenchmarkPeerTokenJSON(b *testing.B) {
	b.ReportAllocs()
	now := time.Now()
	access, refresh := family(1).access(0), family(1).refresh(0)
	for b.Loop() {
		if _, err := dataset.PeerTokenJSON(now, "", access, refresh, "cli_1", "usr_1", time.Hour, false); err != nil {
			b.Fatal(err)
		}
	}
}
