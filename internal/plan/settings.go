package plan

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Reference is the major version of PostgreSQL whose plans are reviewed. Others choose the same indexes, but write some
// plans in other words.
const Reference = 15

// settings are those in which a reviewed plan is made, beside the defaults of PostgreSQL itself: solid-state disks, a cache
// that holds what is in use, one process for each statement. They are what a server of this kind is given in production.
var settings = [][2]string{
	{"random_page_cost", "1.1"},
	{"effective_cache_size", "4GB"},
	{"work_mem", "4MB"},
	{"max_parallel_workers_per_gather", "0"},
	{"jit", "off"},
	// how a plan writes names and constants
	{"TimeZone", "UTC"},
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"search_path", "public"},
	{"quote_all_identifiers", "off"},
	{"extra_float_digits", "1"},
}

// Settings puts everything that the planner reads at a fixed value, for the rest of the connection's life, so that plans do
// not depend on how the server is configured.
func Settings(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		SELECT set_config(s.name, s.boot_val, false)
		FROM pg_settings AS s
		WHERE s.category LIKE 'Query Tuning%' AND s.context = 'user' AND s.boot_val IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("reset the planner's settings: %w", err)
	}
	for _, s := range settings {
		if _, err := conn.Exec(ctx, "SELECT set_config($1, $2, false)", s[0], s[1]); err != nil {
			return fmt.Errorf("set %s: %w", s[0], err)
		}
	}
	return nil
}
