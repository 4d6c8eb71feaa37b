package calls

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// The template that neighbours are in is kept, and what has expired is the collector's.
func TestNeighboursLastForYears(t *testing.T) {
	t.Parallel()
	pool := fixture.NewPool(t, 1, fixture.WithNeighbours(t))
	rows, err := pool.Query(t.Context(), `
		SELECT c.table_name, c.column_name
		FROM information_schema.columns AS c
		JOIN information_schema.tables AS t USING (table_schema, table_name)
		WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.column_name ~ '(expires|resets|ends)_at$'`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Table, Column string }])
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, c := range columns {
		var dated, soon int
		err := pool.QueryRow(t.Context(), fmt.Sprintf(`SELECT count(%[1]s), count(*) FILTER (WHERE %[1]s < now() + interval '1 year') FROM %[2]s`,
			pgx.Identifier{c.Column}.Sanitize(), pgx.Identifier{c.Table}.Sanitize())).Scan(&dated, &soon)
		if err != nil {
			t.Fatal(err)
		}
		if all += dated; soon > 0 {
			t.Errorf("%s.%s: %d rows end within a year", c.Table, c.Column, soon)
		}
	}
	if all < 10 {
		t.Errorf("only %d rows end at all", all)
	}
}
