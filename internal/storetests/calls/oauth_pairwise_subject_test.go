package calls

import (
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// publicSubject is the subject by which clients without pairwise subjects know the world's user.
func (w *world) publicSubject() *store.Subject { return new(store.Subject(w.User)) }

// pairwiseClient registers a client with pairwise subjects.
func (w *world) pairwiseClient(redirectURIs ...string) store.ClientID {
	w.Helper()
	return w.NewClient(func(p *store.CreateClientParams) {
		p.SubjectType, p.RedirectURIs = new("pairwise"), redirectURIs
	})
}

// to grants to a client, at the first of its redirect URIs.
func (w *world) to(client store.ClientID) func(*store.GrantAuthorizationParams) {
	w.Helper()
	c, err := w.Q.GetClient(w.Ctx, client)
	w.OK(err)
	return func(p *store.GrantAuthorizationParams) { p.ClientID, p.RedirectURI = client, &c.RedirectURIs[0] }
}

// subjectAt is the subject that a redemption gives the world's user at a client.
func (w *world) subjectAt(client store.ClientID) store.Subject {
	w.Helper()
	_, code := w.Grant(w.to(client))
	row := w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) { p.ClientID, p.RedirectURI = client, nil })
	if row.Sub == nil {
		w.Fatal("a redemption gives no subject")
	}
	return *row.Sub
}

func (w *world) putSubject(client store.ClientID, user store.UserID, subject store.Subject, want store.Outcome) {
	w.Helper()
	got := w.outcome(w.Q.CreatePairwiseSubject(w.Ctx, store.CreatePairwiseSubjectParams{ClientID: client, UserID: user, Subject: subject}))
	w.want("CreatePairwiseSubject", got, want)
}

func (w *world) sectorOf(client store.ClientID) string {
	w.Helper()
	c, err := w.Q.GetClient(w.Ctx, client)
	w.OK(err)
	if c.SectorIdentifier == nil {
		return ""
	}
	return *c.SectorIdentifier
}

// A subject is the same at all clients of a sector, for ever, and another one at each other sector (OpenID Connect Core, section 8).
func TestPairwiseSubjectIsOfTheSector(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	first, same := w.pairwiseClient("https://a.example/cb"), w.pairwiseClient("https://a.example:8443/other?x=1", "https://A.example/cb")
	other, public := w.pairwiseClient("https://b.example/cb"), w.NewClient()
	s := w.subjectAt(first)
	wantEqual(t, "again", w.subjectAt(first), s)
	wantEqual(t, "at another client of the sector", w.subjectAt(same), s)
	if at := w.subjectAt(other); at == s || at == *w.publicSubject() || s == *w.publicSubject() {
		t.Errorf("the subjects are %s and %s", s, at)
	}
	wantEqual(t, "at a client without pairwise subjects", w.subjectAt(public), *w.publicSubject())
	ada := w.User
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	if bob := w.subjectAt(first); bob == s {
		t.Error("two users have one subject")
	}
	for client, want := range map[store.ClientID]store.Subject{first: s, same: s, public: store.Subject(ada)} {
		u, err := w.Q.FindUserBySubject(w.Ctx, store.FindUserBySubjectParams{ClientID: client, Subject: want})
		w.OK(err)
		wantEqual(t, "FindUserBySubject", u.ID, ada)
	}
	for what, p := range map[string]store.FindUserBySubjectParams{
		"another sector's":                {ClientID: other, Subject: s},
		"a user id":                       {ClientID: first, Subject: store.Subject(ada)},
		"a pairwise one without sector":   {ClientID: public, Subject: s},
		"none":                            {ClientID: first},
		"of a client that there isn't":    {ClientID: "unknown", Subject: s},
		"of nobody, at a public client":   {ClientID: public, Subject: "unknown"},
		"with a NUL, which nobody can be": {ClientID: public, Subject: "x\x00"},
	} {
		if u, err := w.Q.FindUserBySubject(w.Ctx, p); err == nil {
			t.Errorf("%s: found %s", what, u.ID)
		} else {
			w.None(err)
		}
	}
}

// Every call that names the user to a client says the same subject, and so does what a logout token will be made of.
func TestEveryCallSaysTheSameSubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client := w.pairwiseClient("https://a.example/cb")
	id, code := w.Grant(w.to(client))
	s, err := w.Q.ListSessionClients(w.Ctx, w.Session)
	w.OK(err)
	sub := store.Subject(s[0].Sub)
	if sub == *w.publicSubject() || sub == "" {
		t.Fatalf("the session's client knows the user as %q", sub)
	}
	of := func(row *store.Subject) store.Subject {
		t.Helper()
		if row == nil {
			return "NULL"
		}
		return *row
	}
	same := func(what string, got *store.Subject) {
		t.Helper()
		wantEqual(t, what, of(got), sub)
	}
	redeem := w.RedeemParams(code)
	redeem.ClientID, redeem.RedirectURI = client, nil
	for range 2 {
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, redeem)
		w.OK(err)
		same("RedeemAuthorizationCode: "+string(row.Outcome), row.Sub)
	}
	same("IntrospectAccessToken", w.introspectAccess("at-"+code).Sub)
	same("IntrospectAccessTokenByID", w.introspectAccessByID(redeem.AccessTokenID).Sub)
	same("IntrospectRefreshToken", w.introspectRefresh("rt-"+code).Sub)
	same("IntrospectToken", w.Introspect("at-"+code).Sub)
	same("IntrospectToken of a refresh token", w.Introspect("rt-"+code).Sub)
	same("IntrospectAuthorization", w.introspectFamily(id).Sub)
	asks := w.NewClient() // the subject is for the token's client, not for who asks
	row, err := w.Q.IntrospectToken(w.Ctx, store.IntrospectTokenParams{Token: fixture.Digest("at-" + code), ClientID: asks, ClientAuthMethod: fixture.Verified})
	w.OK(err)
	same("IntrospectToken by another client", row.Sub)
	for _, want := range []store.Outcome{store.OutcomeRotated, store.OutcomeRetried} {
		row, _ := w.Rotate("rt-"+code, want, func(p *store.RotateRefreshTokenParams) { p.ClientID = client })
		same("RotateRefreshToken: "+string(want), row.Sub)
	}
	issued, _ := w.issueGrant("issued", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.ClientID = client })
	same("IssueGrant", issued.Sub)

	client = w.Client
	w.Client = w.NewClient(func(p *store.CreateClientParams) {
		p.SubjectType, p.RedirectURIs = new("pairwise"), []string{"https://a.example/device"}
		p.GrantTypes = []string{"urn:ietf:params:oauth:grant-type:device_code", "authorization_code"}
	})
	d := w.approvedDevice()
	for _, want := range []store.Outcome{store.OutcomeRedeemed, store.OutcomeRetried} {
		same("PollDeviceCode: "+string(want), w.poll(d.code, want).Sub)
	}
	w.Client = client

	approving := w.pairwiseClient("https://b.example/cb")
	request := w.pending(func(p *store.CreateAuthorizationParams) {
		p.ClientID, p.RedirectURI = approving, new("https://b.example/cb")
	})
	w.approve(request, store.OutcomeApproved)
	clients, err := w.Q.ListSessionClients(w.Ctx, w.Session)
	w.OK(err)
	sub = w.subjectAt(approving)
	wantEqual(t, "ApproveAuthorization", store.Subject(clients[len(clients)-1].Sub), sub)

	w.Client = w.pairwiseClient("https://foreign.example/cb") // another server's tokens
	refresh := w.ForeignRefreshToken("foreign")
	w.ForeignAccessToken("foreign access", &refresh)
	clients, err = w.Q.ListSessionClients(w.Ctx, w.Session)
	w.OK(err)
	sub = store.Subject(clients[len(clients)-1].Sub)
	same("another server's token", w.Introspect("foreign access").Sub)
	same("another server's refresh token", w.Introspect("foreign").Sub)
}

// A token of another server without a session names nobody, rather than the user by an id that the client must not learn.
func TestUnknownPairwiseSubjectIsNotTheUserID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.pairwiseClient("https://a.example/cb")
	w.Exec(`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes) VALUES ('r', $1, $2, $3, '{openid}')`,
		string(fixture.Digest("foreign")), w.Client, w.User)
	row := w.Introspect("foreign")
	if row.Outcome != store.OutcomeActive || row.Sub != nil {
		t.Errorf("got %s with subject %v, want active without", row.Outcome, row.Sub)
	}
	rotated, _ := w.Rotate("foreign", store.OutcomeRotated)
	wantEqual(t, "the subject after a rotation", w.Introspect(fixture.SuccessorOf("foreign")).Sub, rotated.Sub)
	// a word that isn't of the specification counts as pairwise
	odd := w.NewClient(func(p *store.CreateClientParams) { p.SubjectType = new("Pairwise") })
	if w.subjectAt(odd) == *w.publicSubject() {
		t.Error("a subject_type that is neither public nor pairwise tells the user's id")
	}
}

// A new host, new redirect URIs, another sector: the subjects stay (OpenID Connect Core, sections 2 and 8.1).
func TestSubjectOutlivesTheRedirectURIsThatTheSectorCameFrom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client := w.pairwiseClient("https://a.example/cb")
	s := w.subjectAt(client)
	update := func(p store.UpdateClientParams) {
		t.Helper()
		p.ClientID = client
		_, err := w.Q.UpdateClient(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "the subject", w.subjectAt(client), s)
	}
	update(store.UpdateClientParams{RedirectURIs: []string{"https://b.example/cb"}})
	update(store.UpdateClientParams{RedirectURIs: []string{"https://c.example/cb", "https://d.example/cb"}, SubjectType: new("pairwise")})
	for _, away := range []store.UpdateClientParams{{SubjectType: new("public")}, {Cleared: []string{"subject_type"}}} {
		away.ClientID = client
		_, err := w.Q.UpdateClient(w.Ctx, away)
		w.OK(err)
		wantEqual(t, "a public subject meanwhile", w.subjectAt(client), *w.publicSubject())
		update(store.UpdateClientParams{SubjectType: new("pairwise")})
	}
	w.Exec(`UPDATE oauth_client SET sector_identifier = NULL WHERE client_id = $1`, client) // by a server that writes whole rows
	wantEqual(t, "the subject", w.subjectAt(client), s)
	_, err := w.Pool.Exec(w.Ctx, `UPDATE oauth_client SET sector_identifier = 'b.example' WHERE client_id = $1`, client)
	if e := pgErrorOf(err); e.Code != "22023" || !strings.HasPrefix(e.Message, "SectorIdentifier ") {
		t.Errorf("another sector: got %v, want it refused by name", err)
	}
	wantEqual(t, "the subject", w.subjectAt(client), s)
}

func TestSectorIsTheHostThatAllRedirectURIsShare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	const own = "client:"
	for _, c := range []struct {
		given string
		uris  []string
		want  string
	}{
		{"", []string{"https://a.example/cb"}, "a.example"},
		{"", []string{"https://A.Example:8443", "https://a.example?x=https://b.example"}, "a.example"},
		{"sector.example", []string{"https://a.example/cb", "https://b.example/cb"}, "sector.example"},
		{"Sector.Example", []string{"https://a.example/cb"}, "sector.example"}, // as a URL may write it
		// one client could otherwise learn the subjects of another one's sector, or share one with apps it has nothing to do with
		{"", []string{"https://a.example/cb", "https://b.example/cb"}, own},
		{"", []string{"https://a.example/cb", "com.example.app:/cb"}, own},
		{"", []string{"com.example.app:/cb"}, own},
		{"", []string{"app://callback/cb"}, own},
		{"", []string{"http://127.0.0.1/cb"}, own},
		{"", []string{"http://127.0.0.1:8080/cb"}, own},
		{"", []string{"http://localhost"}, own},
		{"", []string{"http://localhost:3000/cb"}, own},
		{"", []string{"http://app.localhost/cb"}, own},
		{"", []string{"http://[::1]/cb"}, own},
		{"", []string{"https://a.example@b.example/cb"}, own},
		{"", []string{"https://a.example\\@b.example/cb"}, own},
		{"", []string{"https://localhost.example/cb"}, "localhost.example"},
		{"", []string{"https://" + strings.Repeat("a", 255) + "/cb"}, strings.Repeat("a", 255)},
		{"", []string{"https://" + strings.Repeat("a", 256) + "/cb"}, own}, // no host has so long a name, and nobody's registration fails for it
	} {
		client := w.NewClient(func(p *store.CreateClientParams) {
			p.SubjectType, p.RedirectURIs = new("pairwise"), c.uris
			if c.given != "" {
				p.SectorIdentifier = &c.given
			}
		})
		want := c.want
		if want == own {
			want += string(client)
		}
		wantEqual(t, strings.Join(c.uris, " "), w.sectorOf(client), want)
	}
	machine := w.NewClient(func(p *store.CreateClientParams) {
		p.SubjectType, p.RedirectURIs, p.GrantTypes = new("pairwise"), nil, []string{"client_credentials"}
	})
	wantEqual(t, "without redirect URIs", w.sectorOf(machine), own+string(machine))
	wantEqual(t, "without pairwise subjects", w.sectorOf(w.NewClient()), "")
	w.refused(func() {
		_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{
			ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{"https://a.example"}, SubjectType: new("pairwise"),
			SectorIdentifier: new(strings.Repeat("x", 256)),
		})
		w.violation(err, "CreateClient", store.ConstraintSectorLength)
	})
}

// A client that registers itself states the host of another one as its own. It would learn by which subjects that one knows its users if it
// could then be told of users elsewhere: at redirect URIs of its own, at a device, or by exchange.
func TestClientThatRegistersItselfTakesNoSubjectsAwayFromTheirSector(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	const victim = "victim.example"
	there, elsewhere := []string{"https://victim.example/cb"}, []string{"https://evil.example/cb"}
	device := []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}
	pairwise := func(p *store.RegisterClientParams) { p.SubjectType, p.RedirectURIs = new("pairwise"), there }
	for what, move := range map[string]struct {
		uris       []string
		grantTypes []string
		sector     *string
		want       store.Outcome
	}{
		"another host":               {elsewhere, nil, nil, store.OutcomeInvalidClientMetadata},
		"another host beside":        {append(there, elsewhere...), nil, nil, store.OutcomeInvalidClientMetadata},
		"an app beside":              {append(there, "com.example.app:/cb"), nil, nil, store.OutcomeInvalidClientMetadata},
		"a device":                   {there, device, nil, store.OutcomeInvalidClientMetadata},
		"another sector, verified":   {elsewhere, nil, new("evil.example"), store.OutcomeInvalidClientMetadata},
		"another path":               {[]string{"https://victim.example:8443/other"}, []string{"authorization_code", "refresh_token"}, nil, store.OutcomeUpdated},
		"the same sector, verified":  {elsewhere, device, new("Victim.example"), store.OutcomeUpdated},
		"what it has":                {there, nil, nil, store.OutcomeUpdated},
		"what it has, and no device": {there, []string{"authorization_code"}, nil, store.OutcomeUpdated},
	} {
		client := w.open(pairwise)
		wantEqual(t, "the sector", w.sectorOf(client), victim)
		p := updateParams(client, "r1")
		p.SubjectType, p.RedirectURIs, p.GrantTypes, p.SectorIdentifier = new("pairwise"), move.uris, move.grantTypes, move.sector
		w.update(p, move.want)
		wantEqual(t, "the sector after "+what, w.sectorOf(client), victim)
		if move.want == store.OutcomeUpdated {
			continue
		}
		p.SubjectType = nil // as a public one it may go where it likes, but not come back
		w.update(p, store.OutcomeUpdated)
		p = updateParams(client, "r1+")
		p.SubjectType, p.RedirectURIs, p.GrantTypes = new("pairwise"), move.uris, move.grantTypes
		w.Unchanged(func() { w.update(p, store.OutcomeInvalidClientMetadata) })

		if move.sector != nil { // a document has none
			continue
		}
		d := documentParams(time.Now().Add(-time.Hour))
		d.SubjectType, d.RedirectURIs = new("pairwise"), there
		w.put(d, store.OutcomeInserted)
		wantEqual(t, "the sector of a document", w.sectorOf(d.ClientID), victim)
		moved := d
		moved.ID, moved.FetchedAt, moved.RedirectURIs, moved.GrantTypes = store.NewOAuthClientID(), time.Now().Add(-time.Minute), move.uris, move.grantTypes
		w.Unchanged(func() { w.put(moved, store.OutcomeInvalidClientMetadata) })
		d.ID, d.FetchedAt, d.RedirectURIs = store.NewOAuthClientID(), time.Now(), []string{"https://victim.example/new"}
		w.put(d, store.OutcomeChanged)
		w.Unchanged(func() { w.put(moved, store.OutcomeStale) })
	}

	// what an operator has decided can be sent back
	client := w.open(pairwise)
	_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: client, RedirectURIs: append(there, "https://b.example/cb")})
	w.OK(err)
	p := updateParams(client, "r1")
	p.SubjectType, p.RedirectURIs = new("pairwise"), []string{"https://b.example/cb"}
	w.update(p, store.OutcomeUpdated)

	// a device from the start, or before there was a sector: one of its own, and then it may go anywhere
	fromTheStart := w.open(pairwise, func(p *store.RegisterClientParams) { p.GrantTypes = device })
	later := w.open()
	for _, client := range []store.ClientID{fromTheStart, later} {
		p := updateParams(client, "r1")
		p.SubjectType, p.RedirectURIs, p.GrantTypes = new("pairwise"), there, device
		w.update(p, store.OutcomeUpdated)
		wantEqual(t, "the sector of a device", w.sectorOf(client), "client:"+string(client))
		p = updateParams(client, "r1+")
		p.SubjectType, p.RedirectURIs = new("pairwise"), elsewhere
		w.update(p, store.OutcomeUpdated)
		wantEqual(t, "the sector of a device", w.sectorOf(client), "client:"+string(client))
	}
	d := documentParams(time.Now())
	d.SubjectType, d.RedirectURIs, d.GrantTypes = new("pairwise"), there, device
	w.put(d, store.OutcomeInserted)
	wantEqual(t, "the sector of a device's document", w.sectorOf(d.ClientID), "client:"+string(d.ClientID))
	// and a sector that the server has verified
	verified := w.open(pairwise, func(p *store.RegisterClientParams) { p.GrantTypes, p.SectorIdentifier = device, new(victim) })
	wantEqual(t, "the verified sector", w.sectorOf(verified), victim)
	p = updateParams(w.open(), "r1")
	p.SubjectType, p.RedirectURIs, p.SectorIdentifier = new("pairwise"), elsewhere, new("sector.example")
	w.update(p, store.OutcomeUpdated)
	wantEqual(t, "the sector, verified later", w.sectorOf(p.ClientID), "sector.example")
}

func TestSubjectsOfAnotherServerAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client, same, public := w.pairwiseClient("https://a.example/cb"), w.pairwiseClient("https://a.example/cb2"), w.NewClient()
	deleted := w.pairwiseClient("https://a.example/cb3")
	w.deleteClient(deleted)
	w.changesRows(func() { w.putSubject(client, w.User, "old subject", store.OutcomeCreated) }, rowName("+", "oauth_pairwise_subject", "a.example "+string(w.User)))
	bob, gone := w.NewUser(), w.NewUser()
	w.deleteUser(gone)
	w.Unchanged(func() {
		w.putSubject(client, w.User, "old subject", store.OutcomeRetried)
		w.putSubject(same, w.User, "old subject", store.OutcomeRetried)
		w.putSubject(client, w.User, "another", store.OutcomeTaken)
		w.putSubject(client, bob, "old subject", store.OutcomeTaken)
		w.putSubject(public, bob, "x", store.OutcomeUnknown)
		w.putSubject(deleted, bob, "x", store.OutcomeUnknown)
		w.putSubject("unknown", bob, "x", store.OutcomeUnknown)
		w.putSubject(client, "unknown", "x", store.OutcomeUnknown)
		w.putSubject(client, gone, "x", store.OutcomeUnknown)
		for _, bad := range []store.Subject{"", "ä", "x\n", "x\x00", store.Subject(strings.Repeat("x", 256))} {
			_, err := w.Q.CreatePairwiseSubject(w.Ctx, store.CreatePairwiseSubjectParams{ClientID: client, UserID: bob, Subject: bad})
			w.violation(err, "CreatePairwiseSubject", store.ConstraintSubjectIsPrintable)
		}
	})
	wantEqual(t, "the subject", w.subjectAt(same), "old subject")
}

func TestDeletedUserIsFoundByNoSubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client := w.pairwiseClient("https://a.example/cb")
	s, ada := w.subjectAt(client), w.User
	w.deleteUser(ada)
	for c, subject := range map[store.ClientID]store.Subject{client: s, w.NewClient(): store.Subject(ada)} {
		_, err := w.Q.FindUserBySubject(w.Ctx, store.FindUserBySubjectParams{ClientID: c, Subject: subject})
		w.None(err)
	}
	told, err := w.Q.ListSessionClients(w.Ctx, w.Session) // who has to be told of the sign-out still knows whom
	w.OK(err)
	wantEqual(t, "the subject to tell of", store.Subject(told[0].Sub), s)
	w.Exec(`DELETE FROM session_client`)
	w.Exec(`DELETE FROM oauth_authorization`)
	w.Exec(`DELETE FROM session`)
	w.Exec(`DELETE FROM oauth_client WHERE user_id IS NOT NULL`)
	for i, want := range []struct{ deleted, cleared int64 }{{0, 1}, {1, 0}} { // nothing cascades
		row, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{BatchSize: 10})
		w.OK(err)
		if row.Deleted != want.deleted || row.Cleared != want.cleared {
			t.Errorf("pass %d: deleted %d and cleared %d, want %d and %d", i, row.Deleted, row.Cleared, want.deleted, want.cleared)
		}
	}
	w.Exec(`INSERT INTO "user" (id, name) VALUES ($1, 'another one')`, ada) // an id may come again; its subject doesn't
	w.User = ada
	w.Session = w.NewSession(ada)
	if again := w.subjectAt(client); again == s {
		t.Error("the subject of a deleted user is given to another one")
	}
}

// An exchanged token, and one for an assertion, are of their own client's sector, not of that in whose family they are.
func TestSubjectIsForTheClientOfTheToken(t *testing.T) {
	t.Parallel()
	w, grantee := assertionWorld(t)
	w.Exec(`UPDATE oauth_client SET subject_type = 'pairwise', redirect_uris = '{https://grantee.example/cb}' WHERE client_id = $1`, string(grantee))
	api := w.NewExchanger(func(p *store.CreateClientParams) {
		p.SubjectType, p.RedirectURIs = new("pairwise"), []string{"https://api.example/cb"}
	})
	k := w.Redeem()
	access, raw := w.ExchangeParams(k.Access, api)
	var subjects []store.Subject
	for range 2 {
		row, err := w.Q.ExchangeToken(w.Ctx, access)
		w.OK(err)
		subjects = append(subjects, *row.Sub)
	}
	wantEqual(t, "the same call again", subjects[1], subjects[0])
	if subjects[0] == *w.publicSubject() {
		t.Error("an exchanged token tells the user's id")
	}
	wantEqual(t, "IntrospectAccessToken", w.introspectAccess(raw).Sub, &subjects[0])
	wantEqual(t, "IntrospectToken", w.Introspect(raw).Sub, &subjects[0])
	wantEqual(t, "IntrospectAccessTokenByID", w.introspectAccessByID(access.AccessTokenID).Sub, &subjects[0])
	wantEqual(t, "the subject token", w.introspectAccess(k.Access).Sub, w.publicSubject())
	wantEqual(t, "the family", w.introspectFamily(k.Authorization).Sub, w.publicSubject())

	p, issued := w.AssertionParams(fixture.Issuer, "7", "jti", grantee)
	row, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
	w.OK(err)
	w.want("IssueTokenByAssertion", row.Outcome, store.OutcomeIssued)
	if *row.Sub == *w.publicSubject() || *row.Sub == subjects[0] {
		t.Errorf("at %s the user is %s", grantee, *row.Sub)
	}
	wantEqual(t, "IntrospectAccessToken", w.introspectAccess(issued).Sub, row.Sub)
	again, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
	w.OK(err)
	wantEqual(t, "the same call again", again.Sub, row.Sub)
}
