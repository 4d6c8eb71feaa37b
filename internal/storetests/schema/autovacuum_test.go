package schema

import (
	"slices"
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// docs/sizing.md measures what this brings.
func TestTablesWhoseRowsAllDieAreVacuumedEarly(t *testing.T) {
	t.Parallel()
	got := fixture.CatalogLines(t, fixture.NewPool(t, 1), `
		SELECT c.relname || ' ' || array_to_string(ARRAY(SELECT unnest(c.reloptions) ORDER BY 1), ' ')
		FROM pg_class AS c
		WHERE c.relnamespace = 'public'::regnamespace AND array_to_string(c.reloptions, ' ') LIKE '%autovacuum%'
		ORDER BY 1`)
	want := []string{
		"oauth_access_token autovacuum_vacuum_scale_factor=0.05",
		"oauth_authorization autovacuum_vacuum_scale_factor=0.05 fillfactor=80",
		"oauth_refresh_token autovacuum_vacuum_scale_factor=0.05 fillfactor=80",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
