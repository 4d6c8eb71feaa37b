package dataset

import (
	"strconv"
	"time"

	"github.com/oauthdb/oauthdb/token"
)

// line builds a row of COPY's text format. No value here has a character that the format would escape.
type line struct{ b []byte }

func (l *line) add(s string) {
	l.b = append(l.b, s...)
	l.b = append(l.b, '\t')
}

func (l *line) null() { l.add(`\N`) }

func (l *line) end() []byte {
	l.b[len(l.b)-1] = '\n'
	return l.b
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.999999Z07") }

const (
	scopes       = "{openid,profile,email,offline_access}"
	onlineScopes = "{openid,profile,email}"
)

// moments are the instants of the data. What is live stays so for a year, so that a database is of use for that long.
type moments struct {
	granted string // when families began
	live    string // when what is live ends
	expired string // when the rest has ended
}

func momentsFrom(now time.Time) moments {
	return moments{
		granted: stamp(now.Add(-40 * 24 * time.Hour)),
		live:    stamp(now.Add(365 * 24 * time.Hour)),
		expired: stamp(now.Add(-30 * 24 * time.Hour)),
	}
}

func (m moments) of(family int64) string {
	if Expired(family) {
		return m.expired
	}
	return m.live
}

func (d Data) tables(now time.Time) []table {
	m := momentsFrom(now)
	// the largest first: two are written at a time
	return []table{
		{
			"oauth_access_token", accessTokenColumns,
			d.AccessTokens, func(b []byte, n int64) []byte {
				f := n / 4
				return accessTokenRow(b, accessToken{
					id: string(AccessToken(n)), token: string(Digest(KindAccess, n, 0)), client: d.ClientOf(f), user: d.UserOf(f),
					session: string(Session(d.UserOf(f))), refresh: string(RefreshToken(n / 2)), expires: m.of(f), scopes: scopes,
					authorization: string(Authorization(f)), created: m.granted,
				})
			},
		},
		{
			"oauth_refresh_token",
			refreshTokenColumns,
			2 * d.Families, func(b []byte, n int64) []byte {
				f := n / 2
				t := refreshToken{
					id: string(RefreshToken(n)), token: string(Digest(KindRefresh, n, 0)), client: d.ClientOf(f), user: d.UserOf(f),
					session: string(Session(d.UserOf(f))), expires: m.of(f), scopes: scopes, authorization: string(Authorization(f)),
					created: m.granted,
				}
				if n%2 == 0 {
					t.revoked, t.successor, t.successorID = m.granted, string(Digest(KindRefresh, n+1, 0)), string(RefreshToken(n+1))
				}
				return refreshTokenRow(b, t)
			},
		},
		{
			"oauth_authorization", authorizationColumns,
			d.Families, func(b []byte, n int64) []byte {
				return authorizationRow(b, authorization{
					id: string(Authorization(n)), client: d.ClientOf(n), user: d.UserOf(n), session: string(Session(d.UserOf(n))),
					code: string(Digest(KindCode, n, 0)), codeExpires: m.of(n), redeemed: m.granted, redeemedAs: string(AccessToken(4*n + 1)),
					ends: m.of(n), created: m.granted, scopes: scopes,
				})
			},
		},
		{
			"oauth2_token", "created_at, expires_at, code, access, refresh, data",
			d.Families, func(b []byte, n int64) []byte {
				return peerRow(b, now, peer{
					access: Digest(KindAccess, 4*n+3, 0), refresh: Digest(KindRefresh, 2*n+1, 0), client: d.ClientOf(n), user: d.UserOf(n),
					expired: Expired(n),
				})
			},
		},
		{
			"session", "id, expires_at, token, user_id, ip_address, user_agent",
			d.Users, func(b []byte, n int64) []byte {
				return sessionRow(b, string(Session(n)), string(Digest(KindSession, n, 0)), n, m.live)
			},
		},
		d.sessionClients(),
		{
			`"user"`, "id, name, email, email_verified",
			d.Users, func(b []byte, n int64) []byte {
				l := line{b}
				l.add(string(User(n)))
				l.add("User " + strconv.FormatInt(n, 10))
				l.add("user-" + strconv.FormatInt(n, 10) + "@bench.example")
				l.add("t")
				return l.end()
			},
		},
		{
			"oauth_consent", "id, client_id, user_id, scopes",
			d.Users, func(b []byte, n int64) []byte {
				l := line{b}
				l.add(id("cns_", n))
				l.add(string(Client(d.ClientOf(n))))
				l.add(string(User(n)))
				l.add(scopes)
				return l.end()
			},
		},
		{
			"oauth_client",
			"id, client_id, client_secret, name, uri, redirect_uris, scopes, grant_types, response_types, token_endpoint_auth_method, public",
			d.Clients, func(b []byte, n int64) []byte {
				l := line{b}
				l.add(id("ocl_", n))
				l.add(string(Client(n)))
				l.add(string(Digest(KindSecret, n, 0)))
				l.add("Client " + strconv.FormatInt(n, 10))
				l.add("https://app.bench.example")
				l.add("{" + RedirectURI + "}")
				l.add(scopes)
				l.add("{authorization_code,refresh_token}")
				l.add("{code}")
				l.add("client_secret_basic")
				l.add("f")
				return l.end()
			},
		},
		{
			"oauth2_client", "id, secret, domain, data",
			d.Clients, func(b []byte, n int64) []byte {
				l := line{b}
				l.add(string(Client(n)))
				l.add(string(Digest(KindSecret, n, 0)))
				l.add(RedirectURI)
				l.add(`{"ID":"` + string(Client(n)) + `","Secret":"` + string(Digest(KindSecret, n, 0)) + `","Domain":"` + RedirectURI + `","Public":false,"UserID":""}`)
				return l.end()
			},
		},
	}
}

const (
	accessTokenColumns = `id, token, client_id, session_id, user_id, refresh_id, expires_at, scopes, authorization_id, authorization_code_id,
		created_at`
	refreshTokenColumns = `id, token, client_id, session_id, user_id, expires_at, scopes, authorization_id, authorization_code_id, auth_time,
		created_at, revoked, successor, successor_id`
)

type accessToken struct {
	id, token, session, refresh, expires, scopes, authorization, created string
	client, user                                                         int64
}

func accessTokenRow(b []byte, t accessToken) []byte {
	l := line{b}
	l.add(t.id)
	l.add(t.token)
	l.add(string(Client(t.client)))
	l.add(t.session)
	l.add(string(User(t.user)))
	l.add(t.refresh)
	l.add(t.expires)
	l.add(t.scopes)
	l.add(t.authorization)
	l.add(t.authorization)
	l.add(t.created)
	return l.end()
}

type refreshToken struct {
	id, token, session, expires, scopes, authorization, created string
	revoked, successor, successorID                             string // empty while it is the current one
	client, user                                                int64
}

func refreshTokenRow(b []byte, t refreshToken) []byte {
	l := line{b}
	l.add(t.id)
	l.add(t.token)
	l.add(string(Client(t.client)))
	l.add(t.session)
	l.add(string(User(t.user)))
	l.add(t.expires)
	l.add(t.scopes)
	l.add(t.authorization)
	l.add(t.authorization)
	l.add(t.created) // auth_time
	l.add(t.created)
	if t.successor == "" {
		l.null()
		l.null()
		l.null()
	} else {
		l.add(t.revoked)
		l.add(t.successor)
		l.add(t.successorID)
	}
	return l.end()
}

// sessionClients are the clients that the sessions are known to: those of the user's families, each once.
func (d Data) sessionClients() table {
	var second []int64 // families that are the second of their user, and of another client than the first
	for f := d.Users; f < d.Families; f++ {
		if d.ClientOf(f) != d.ClientOf(d.UserOf(f)) {
			second = append(second, f)
		}
	}
	return table{
		"session_client", sessionClientColumns,
		d.Users + int64(len(second)), func(b []byte, n int64) []byte {
			if n >= d.Users {
				n = second[n-d.Users]
			}
			return sessionClientRow(b, string(Session(d.UserOf(n))), d.ClientOf(n), d.UserOf(n))
		},
	}
}

const sessionClientColumns = "session_id, client_id, user_id, sub, sid"

func sessionClientRow(b []byte, session string, client, user int64) []byte {
	l := line{b}
	l.add(session)
	l.add(string(Client(client)))
	l.add(string(User(user)))
	l.add(string(User(user)))
	l.add(session)
	return l.end()
}

const authorizationColumns = `id, client_id, status, redirect_uri, response_type, scopes, state, nonce, code_challenge, code_challenge_method,
	user_id, session_id, granted_scopes, auth_time, amr, decided_at, bound, user_epoch, client_epoch, pair_epoch, code, code_expires_at,
	expires_at, redeemed_at, redeemed_as, max_expires_at, created_at`

type authorization struct {
	id, session, code, codeExpires, created, scopes string
	redeemed, redeemedAs, ends                      string // empty before redemption
	client, user                                    int64
}

func authorizationRow(b []byte, a authorization) []byte {
	l := line{b}
	l.add(a.id)
	l.add(string(Client(a.client)))
	l.add("approved")
	l.add(RedirectURI)
	l.add("code")
	l.add(a.scopes)
	l.add("af0ifjsldkj")
	l.add("n-0S6_WzA2Mj")
	l.add(CodeChallenge)
	l.add("S256")
	l.add(string(User(a.user)))
	l.add(a.session)
	l.add(a.scopes)
	l.add(a.created)
	l.add("{pwd}")
	l.add(a.created)
	if a.scopes == onlineScopes {
		l.add("t")
	} else {
		l.add("f")
	}
	l.add("0")
	l.add("0")
	l.add("0")
	l.add(a.code)
	l.add(a.codeExpires)
	if a.redeemed == "" {
		l.add(a.codeExpires)
		l.null()
		l.null()
		l.null()
	} else {
		l.null()
		l.add(a.redeemed)
		l.add(a.redeemedAs)
		l.add(a.ends)
	}
	l.add(a.created)
	return l.end()
}

func sessionRow(b []byte, id, token string, user int64, expires string) []byte {
	l := line{b}
	l.add(id)
	l.add(expires)
	l.add(token)
	l.add(string(User(user)))
	l.add("192.0.2.7")
	l.add("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	return l.end()
}

type peer struct {
	code, access, refresh token.Digest
	client, user          int64
	expired               bool
}

func peerRow(b []byte, now time.Time, p peer) []byte {
	created, lifetime := now, 365*24*time.Hour
	if p.expired {
		created, lifetime = now.Add(-40*24*time.Hour), time.Hour
	}
	l := line{b}
	l.add(stamp(created))
	l.add(stamp(created.Add(lifetime)))
	l.add(string(p.code))
	l.add(string(p.access))
	l.add(string(p.refresh))
	data, err := PeerTokenJSON(created, p.code, p.access, p.refresh, string(Client(p.client)), string(User(p.user)), lifetime, p.code != "")
	if err != nil {
		panic(err) // it renders what this package made
	}
	l.add(string(data))
	return l.end()
}
