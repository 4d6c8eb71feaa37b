package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// HydraOptions say what to take from the tables of an Ory Hydra.
type HydraOptions struct {
	Only         []Kind // nothing else; empty is all
	Network      string // whose rows, where Hydra keeps several networks in its tables
	PKCEOptional bool   // confidential clients need not use PKCE, as with Hydra
	CreateUsers  bool   // the subjects that have agreed to something or hold a refresh token become users, if they are none
	Lifetimes    Lifetimes
}

// HydraTables reads the tables of an Ory Hydra 2: clients with their hashed secrets, consents that are remembered, and refresh tokens that are
// neither spent nor expired.
func HydraTables(ctx context.Context, s *Source, o HydraOptions) (iter.Seq2[Item, error], error) {
	if found, err := s.Has(ctx, "hydra_oauth2_flow", "consent_challenge_id"); err != nil {
		return nil, err
	} else if !found {
		return nil, errors.New("the source has no tables of Ory Hydra 2: a Hydra 1 is brought up to date with 'hydra migrate sql' first")
	}
	var networks []string
	if err := s.tx.QueryRow(ctx, `SELECT array_agg(n.id::text ORDER BY n.id) FROM networks AS n`).Scan(&networks); err != nil {
		return nil, fmt.Errorf("the source: %w", err)
	}
	switch {
	case o.Network == "" && len(networks) == 1:
		o.Network = networks[0]
	case !slices.Contains(networks, o.Network):
		return nil, fmt.Errorf("the source has %d networks: one of %v has to be chosen", len(networks), networks)
	}
	ends := "NULL::timestamp" // 2.3.0 has the column
	if found, err := s.Has(ctx, "hydra_oauth2_refresh", "expires_at"); err != nil {
		return nil, err
	} else if found {
		ends = "r.expires_at"
	}
	wants := func(kind Kind) bool { return len(o.Only) == 0 || slices.Contains(o.Only, kind) }
	var parts []iter.Seq2[Item, error]
	if wants(ClientRecord) {
		parts = append(parts, ofKind(ClientRecord, mapped(s.Objects(ctx, hydraClients, o.Network), func(row map[string]json.RawMessage) Item {
			return hydra(hydraColumns(row), o.PKCEOptional)
		})))
	}
	if o.CreateUsers && wants(UserRecord) {
		parts = append(parts, ofKind(UserRecord, mapped(s.Objects(ctx, hydraSubjects, o.Network), user)))
	}
	if wants(ConsentRecord) {
		parts = append(parts, ofKind(ConsentRecord, mapped(s.Objects(ctx, hydraConsents, o.Network), hydraConsent)))
	}
	if wants(RefreshTokenRecord) {
		tokens := s.Objects(ctx, fmt.Sprintf(hydraRefreshTokens, ends), o.Network, bound(o.Lifetimes.RefreshToken))
		parts = append(parts, ofKind(RefreshTokenRecord, mapped(tokens, func(row map[string]json.RawMessage) Item {
			return hydraRefreshToken(row, o.Lifetimes)
		})))
	}
	return inTurn(parts...), nil
}

// bound is a lifetime in seconds, as PostgreSQL's interval takes it; nil is no bound.
func bound(lifetime time.Duration) *float64 {
	if lifetime == store.Never {
		return nil
	}
	return new(lifetime.Seconds())
}

// Each query returns its rows in an order that stays, for -skip. Times in Hydra's tables are UTC without a zone.
const (
	hydraClients = `
		SELECT to_jsonb(c)
		FROM hydra_client AS c
		WHERE c.nid = $1::text::uuid
		ORDER BY c.id`

	// Hydra goes by the latest flow of a client and subject in which the consent was asked for and is to be remembered.
	hydraConsents = `
		SELECT jsonb_build_object('user_id', f.subject, 'client_id', f.client_id, 'scopes', f.granted_scope, 'resources', f.granted_at_audience,
			'granted_at', coalesce(f.consent_handled_at, f.requested_at) AT TIME ZONE 'UTC', 'remember_for', f.consent_remember_for)
		FROM (
			SELECT DISTINCT ON (f.subject, f.client_id) f.*
			FROM hydra_oauth2_flow AS f
			WHERE f.nid = $1::text::uuid AND f.state IN (5, 6) AND NOT f.consent_skip AND f.consent_error = '{}' AND f.consent_remember
			ORDER BY f.subject, f.client_id, f.requested_at DESC
		) AS f
		ORDER BY f.subject, f.client_id`

	// The tokens of a request are one grant. There are several where Hydra rotates with a grace period.
	hydraRefreshTokens = `
		WITH live AS (
			SELECT r.*, coalesce(%s, r.requested_at + make_interval(secs => $2::text::float8)) AS ends_at
			FROM hydra_oauth2_refresh AS r
			WHERE r.nid = $1::text::uuid AND r.active
		), granted AS (
			SELECT r.request_id, r.client_id, r.subject, max(r.challenge_id) AS challenge_id, array_agg(r.signature ORDER BY r.signature) AS signatures,
				(array_agg(r.granted_scope ORDER BY r.requested_at DESC))[1] AS scope,
				(array_agg(coalesce(r.granted_audience, '') ORDER BY r.requested_at DESC))[1] AS audience,
				CASE WHEN bool_and(r.ends_at IS NOT NULL) THEN max(r.ends_at) END AS ends_at, min(r.requested_at) AS requested_at
			FROM live AS r
			WHERE r.ends_at IS NULL OR r.ends_at > now() AT TIME ZONE 'UTC'
			GROUP BY r.request_id, r.client_id, r.subject
		)
		SELECT jsonb_build_object('grant_id', g.request_id, 'user_id', g.subject, 'client_id', g.client_id, 'token_digests', g.signatures,
			'scopes', array_remove(string_to_array(g.scope, '|'), ''), 'resources', array_remove(string_to_array(g.audience, '|'), ''),
			'granted_at', coalesce(f.consent_handled_at, g.requested_at) AT TIME ZONE 'UTC', 'auth_time', f.login_authenticated_at AT TIME ZONE 'UTC',
			'acr', f.acr, 'amr', f.amr, 'expires_at', g.ends_at AT TIME ZONE 'UTC')
		FROM granted AS g
		LEFT JOIN hydra_oauth2_flow AS f ON f.consent_challenge_id = g.challenge_id
		ORDER BY g.request_id, g.client_id, g.subject`

	hydraSubjects = `
		SELECT jsonb_build_object('id', u.subject)
		FROM (
			SELECT f.subject
			FROM hydra_oauth2_flow AS f
			WHERE f.nid = $1::text::uuid AND f.state IN (5, 6) AND NOT f.consent_skip AND f.consent_error = '{}' AND f.consent_remember
			UNION
			SELECT r.subject
			FROM hydra_oauth2_refresh AS r
			WHERE r.nid = $1::text::uuid AND r.active
		) AS u (subject)
		WHERE u.subject <> ''
		ORDER BY u.subject`
)

// hydraColumns makes of a row of hydra_client what Hydra's API shows of a client.
func hydraColumns(row map[string]json.RawMessage) map[string]json.RawMessage {
	for name, value := range row {
		var text string
		isText := json.Unmarshal(value, &text) == nil && string(value) != "null"
		switch {
		case isText && text == "", name == "request_uris" && string(value) == "[]", name == "frontchannel_logout_session_required" && string(value) == "false":
			delete(row, name) // not given
		case isText && (name == "jwks" || name == "metadata") && json.Valid([]byte(text)): // JSON in a text column
			row[name] = json.RawMessage(text)
		case slices.Contains(lifespans.access, name) || slices.Contains(lifespans.refresh, name) || slices.Contains(lifespans.ignored, name):
			var nanoseconds *int64
			if json.Unmarshal(value, &nanoseconds) == nil && nanoseconds != nil {
				text := time.Duration(*nanoseconds).String()
				if *nanoseconds < 0 {
					text = "-1"
				}
				row[name], _ = json.Marshal(text) // of a text, never fails
			}
		}
	}
	row["client_id"] = row["id"]
	// its columns alone, and lifetimes of a grant that Hydra no longer has
	for _, name := range []string{"id", "nid", "pk", "pk_deprecated", "registration_access_token_signature", "password_grant_access_token_lifespan", "password_grant_refresh_token_lifespan"} {
		delete(row, name)
	}
	return row
}

// notAResource says whether a text is no resource indicator (RFC 8707, section 2).
func notAResource(audience string) bool {
	u, err := url.Parse(audience)
	return err != nil || !u.IsAbs() || u.Fragment != ""
}

// offline calls the scope by its name in OpenID Connect.
func offline(scopes []string) ([]string, bool) {
	i := slices.Index(scopes, "offline")
	if i < 0 {
		return scopes, false
	}
	if scopes = slices.Delete(slices.Clone(scopes), i, i+1); !slices.Contains(scopes, "offline_access") {
		scopes = append(scopes, "offline_access")
	}
	return scopes, true
}

// renamed calls the scope offline of a consent or a refresh token by its other name, and says if its audience is one that this server doesn't
// know yet.
func renamed(row map[string]json.RawMessage) (notes []string) {
	var audience []string
	if json.Unmarshal(row["resources"], &audience) == nil && slices.ContainsFunc(audience, notAResource) {
		notes = append(notes, "its audience is no list of resource indicators (RFC 8707): it counts where it is among the server's default resources")
	}
	var scopes []string
	if json.Unmarshal(row["scopes"], &scopes) != nil {
		return notes
	}
	if scopes, changed := offline(scopes); changed { // which is noted once, with the client
		row["scopes"], _ = json.Marshal(scopes) // of a list of texts, never fails
	}
	return notes
}

func hydraConsent(row map[string]json.RawMessage) Item {
	var seconds int64
	if err := json.Unmarshal(row["remember_for"], &seconds); err == nil && seconds > 0 {
		item := consent(row)
		return Item{ID: item.ID, Refused: errors.New("it was to be remembered for a time only")}
	}
	notes := renamed(row)
	item := consent(row)
	item.Notes = append(item.Notes, notes...)
	return item
}

func hydraRefreshToken(row map[string]json.RawMessage, l Lifetimes) Item {
	notes := renamed(row)
	item := refreshToken(row, l)
	item.Notes = append(item.Notes, notes...)
	return item
}
