package witness

import (
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// kind is what can be true of a row once a call was acknowledged. Its statement returns those of the ids of which it is.
type kind string

const (
	theUser            kind = `SELECT id FROM "user" WHERE id = ANY ($1)`
	theSession         kind = `SELECT id FROM session WHERE id = ANY ($1)`
	theAccount         kind = `SELECT id FROM account WHERE id = ANY ($1)`
	theFamily          kind = `SELECT id FROM oauth_authorization WHERE id = ANY ($1)`
	claimed            kind = `SELECT id FROM oauth_authorization WHERE id = ANY ($1) AND user_id IS NOT NULL`
	approved           kind = `SELECT id FROM oauth_authorization WHERE id = ANY ($1) AND status = 'approved'`
	redeemed           kind = `SELECT id FROM oauth_authorization WHERE id = ANY ($1) AND redeemed_at IS NOT NULL`
	polled             kind = `SELECT id FROM oauth_polled_request WHERE id = ANY ($1) AND polled_at IS NOT NULL`
	endedFamily        kind = `SELECT id FROM oauth_authorization WHERE id = ANY ($1) AND revoked_at IS NOT NULL`
	endedSession       kind = `SELECT id FROM session WHERE id = ANY ($1) AND ended_at IS NOT NULL`
	endedSessions      kind = `SELECT id FROM "user" WHERE id = ANY ($1) AND sessions_epoch > 0`
	endedGrants        kind = `SELECT id FROM "user" WHERE id = ANY ($1) AND grants_epoch > 0`
	suspended          kind = `SELECT id FROM "user" WHERE id = ANY ($1) AND suspended_at IS NOT NULL`
	theAccessToken     kind = `SELECT id FROM oauth_access_token WHERE id = ANY ($1)`
	revokedAccessToken kind = `SELECT id FROM oauth_access_token WHERE id = ANY ($1) AND revoked IS NOT NULL`
	theRefreshToken    kind = `SELECT id FROM oauth_refresh_token WHERE id = ANY ($1)`
	spentRefreshToken  kind = `SELECT id FROM oauth_refresh_token WHERE id = ANY ($1) AND revoked IS NOT NULL AND successor_id IS NOT NULL`
	theProof           kind = `SELECT id FROM oauth_proof WHERE id = ANY ($1)`
	theAssertion       kind = `SELECT id FROM oauth_client_assertion WHERE id = ANY ($1)`
	theAttempt         kind = `SELECT subject FROM attempt_count WHERE subject = ANY ($1) AND purpose = 'send' AND attempts > 0`
	spentCode          kind = `SELECT x FROM unnest($1::text[]) AS x WHERE NOT EXISTS (SELECT FROM one_time_code AS c WHERE c.subject = x)`
	eventOfSession     kind = `SELECT session_id FROM security_event WHERE session_id = ANY ($1) AND call = 'EndSession' AND outcome = 'ended'`
)

// eventOfFamily and eventOfUser are what the security events have to tell.
func eventOfFamily(outcome store.Outcome) kind {
	return kind(fmt.Sprintf(`SELECT authorization_id FROM security_event WHERE authorization_id = ANY ($1) AND outcome IN ('%s', 'replayed')`, outcome))
}

func eventOfUser(call string) kind {
	return kind(fmt.Sprintf(`SELECT user_id FROM security_event WHERE user_id = ANY ($1) AND call = '%s' AND outcome = 'ended'`, call))
}

type fact struct {
	kind kind
	id   string
}

// Position is a position in the write-ahead log.
type Position uint64

// String writes the position as PostgreSQL does.
func (p Position) String() string { return fmt.Sprintf("%X/%X", uint64(p)>>32, uint32(p)) }

// ParsePosition reads a position as PostgreSQL writes it.
func ParsePosition(s string) (Position, error) {
	var high, low uint32
	if _, err := fmt.Sscanf(s, "%X/%X", &high, &low); err != nil {
		return 0, fmt.Errorf("position %q: %w", s, err)
	}
	return Position(high)<<32 | Position(low), nil
}

// known is a fact that a call was acknowledged to have made true.
type known struct {
	fact
	call     string
	position Position // of the log after the answer; the greatest if it could not be asked for
}

// know remembers a fact. The answer has come, so whoever asks for the position of the log now gets one behind the call's commit.
func (k *worker) know(call string, kind kind, id string) error {
	known := known{fact: fact{kind, id}, call: call}
	if k.witness.options.Positions {
		known.position = math.MaxUint64
		var lsn string
		if err := k.w.Pool.QueryRow(k.w.Ctx, `SELECT pg_current_wal_insert_lsn()::text`).Scan(&lsn); err == nil {
			p, err := ParsePosition(lsn)
			if err != nil {
				return err
			}
			known.position = p
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.facts = append(k.facts, known)
	return nil
}

// Missing is what was acknowledged and is not so.
type Missing struct {
	Call     string
	Of       string
	Position Position
	rule     kind
}

func (m Missing) String() string {
	return fmt.Sprintf("%s of %s, at %s: %s", m.Call, m.Of, m.Position, m.rule)
}

// Facts returns how many facts were acknowledged, and those of them that are not so in the database of the world.
func (s *Witness) Facts(w *fixture.World) (total int, missing []Missing) {
	w.Helper()
	byKind := map[kind]map[string][]known{}
	for _, k := range s.workers {
		for _, f := range k.facts {
			if byKind[f.kind] == nil {
				byKind[f.kind] = map[string][]known{}
			}
			byKind[f.kind][f.id] = append(byKind[f.kind][f.id], f)
			total++
		}
	}
	for kind, ids := range byKind {
		all := make([]string, 0, len(ids))
		for id := range ids {
			all = append(all, id)
		}
		rows, err := w.Pool.Query(w.Ctx, string(kind), all)
		w.OK(err)
		so, err := pgx.CollectRows(rows, pgx.RowTo[string])
		w.OK(err)
		for _, id := range so {
			delete(ids, id)
		}
		for id, facts := range ids {
			for _, f := range facts {
				missing = append(missing, Missing{f.call, id, f.position, kind})
			}
		}
	}
	return total, missing
}
