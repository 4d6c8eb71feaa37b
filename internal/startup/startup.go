// Package startup checks that a session began with the settings that its connection asked for. PostgreSQL refuses a connection
// whose settings it can't apply; a pooler may drop them (PgBouncer's ignore_startup_parameters) and let the connection through.
package startup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// LostError says that a session lacks a setting that its connection asked for.
type LostError struct {
	Name        string // of the setting
	Asked, Held string
	Role        string // of the session

	// Passing says that the session holds the setting for now, but didn't begin with it.
	Passing bool
}

func (e *LostError) Error() string {
	set := fmt.Sprintf("ALTER ROLE %s SET %s", e.Role, e.Name)
	if e.Passing {
		return fmt.Sprintf("the session has %s = '%s' for now, but didn't begin with it, so that other sessions of the pooler may lack it"+
			" (PgBouncer's connect_query, or another client's SET): use %s", e.Name, e.Held, set)
	}
	return fmt.Sprintf("the connection asked for %s = '%s', but the session has '%s': a pooler has dropped the setting"+
		" (PgBouncer's ignore_startup_parameters, or track_extra_parameters with one that the server doesn't report): use %s", e.Name, e.Asked, e.Held, set)
}

// Check compares the settings that a connection asked for, its RuntimeParams, with those that its session has. The error is a
// [LostError] for the first one that differs. It costs one round trip, or none where nothing was asked for.
//
// A pooler may run the next statement in another session. So the value has to be one that sessions begin with, by the startup
// packet, the role, the database or the server's configuration, or one that the server reports, which is what a pooler needs to keep it for
// its client. A value that a SET has left behind doesn't count.
//
// application_name isn't compared: poolers add to it, and it changes no answer. Of the parameter options, the forms -c name=value
// and --name=value are.
func Check(ctx context.Context, conn *pgconn.PgConn, params map[string]string, except ...string) error {
	asked := Asked(params)
	delete(asked, "application_name")
	for _, name := range except {
		delete(asked, strings.ToLower(name))
	}
	if len(asked) == 0 {
		return nil
	}
	document, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	// The server itself says what the value asked for reads as: set_config, for the length of this statement. It isn't called for
	// settings that can't change in a session, which read as they were given.
	result := conn.ExecParams(ctx, `
		WITH held AS MATERIALIZED (
		    SELECT
		        a.key AS name,
		        a.value AS asked,
		        coalesce(pg_catalog.current_setting(a.key, true), '') AS value,
		        coalesce(s.context IN ('user', 'superuser'), true) AS settable,
		        coalesce(s.setting = s.reset_val, true) AS begun_with
		    FROM pg_catalog.jsonb_each_text($1::jsonb) AS a (key, value)
		    LEFT JOIN pg_catalog.pg_settings AS s ON pg_catalog.lower(s.name) = a.key
		)
		SELECT
		    h.name,
		    h.asked,
		    h.value,
		    CASE
		        WHEN h.value = h.asked OR NOT h.settable THEN h.asked
		        ELSE pg_catalog.set_config(h.name, h.asked, true)
		    END,
		    h.begun_with::text,
		    pg_catalog.quote_ident(session_user)
		FROM held AS h
		ORDER BY h.name`,
		[][]byte{document}, nil, nil, nil).Read()
	if result.Err != nil {
		return fmt.Errorf("compare the settings of the session with those asked for: %w", result.Err)
	}
	if len(result.Rows) != len(asked) {
		return fmt.Errorf("compare the settings of the session with those asked for: %d of %d", len(result.Rows), len(asked))
	}
	for _, row := range result.Rows {
		name, held, want, begun := string(row[0]), string(row[2]), string(row[3]), string(row[4]) == "true"
		lost := &LostError{Name: name, Asked: string(row[1]), Held: held, Role: string(row[5])}
		switch {
		case held != want:
			return lost
		case !begun && !reported(conn, name, held):
			lost.Passing = true
			return lost
		}
	}
	return nil
}

// reported says whether the connection was told that a setting has this value. A pooler that keeps the setting for its client tells it
// the client's value; one that doesn't tells it the server's.
func reported(conn *pgconn.PgConn, name, value string) bool {
	for _, spelling := range []string{name, "TimeZone", "DateStyle", "IntervalStyle"} {
		if strings.EqualFold(spelling, name) && conn.ParameterStatus(spelling) == value {
			return true
		}
	}
	return false
}

// Asked returns the settings that startup parameters ask for, by name in lower case. A parameter wins over the same one in options, as it
// does in the server.
func Asked(params map[string]string) map[string]string {
	asked := ofOptions(params["options"])
	for name, value := range params {
		if name != "options" {
			asked[strings.ToLower(name)] = value
		}
	}
	return asked
}

// ofOptions reads what the server would of options: words between spaces, where a backslash takes the next character as it is.
func ofOptions(options string) map[string]string {
	var words []string
	var word strings.Builder
	within := false
	for i := 0; i < len(options); i++ {
		switch c := options[i]; {
		case strings.IndexByte(" \t\n\v\f\r", c) >= 0:
			if within {
				words = append(words, word.String())
			}
			word.Reset()
			within = false
		default:
			if c == '\\' && i+1 < len(options) {
				i++
				c = options[i]
			}
			word.WriteByte(c)
			within = true
		}
	}
	if within {
		words = append(words, word.String())
	}

	asked := map[string]string{}
	for i := 0; i < len(words); i++ {
		setting, ok := strings.CutPrefix(words[i], "--")
		if !ok {
			if setting, ok = strings.CutPrefix(words[i], "-c"); !ok {
				continue
			}
			if setting == "" && i+1 < len(words) {
				i++
				setting = words[i]
			}
		}
		if name, value, ok := strings.Cut(setting, "="); ok {
			asked[strings.ToLower(strings.ReplaceAll(name, "-", "_"))] = value
		}
	}
	return asked
}

// Refused returns the name of the startup parameter that a pooler has refused a connection for, "options" if it can't read that,
// and empty for every other error. PostgreSQL itself names such a parameter with another SQLSTATE.
func Refused(err error) string {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || refused.Code != "08P01" {
		return ""
	}
	for _, prefix := range []string{"unsupported startup parameter: ", "unsupported startup parameter in options: "} {
		if name, ok := strings.CutPrefix(refused.Message, prefix); ok {
			name, _, _ = strings.Cut(name, "=")
			return strings.ToLower(name)
		}
	}
	if strings.HasPrefix(refused.Message, "unsupported options startup parameter") {
		return "options"
	}
	return ""
}

// Timeouts are the settings that package db asks for by itself.
var Timeouts = []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}

// IsTimeout says whether a setting is one of Timeouts.
func IsTimeout(name string) bool { return slices.Contains(Timeouts, name) }
