// Code as sqlc generates it from queries/account.sql.

package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// DBTX is what runs queries.
type DBTX interface {
	QueryRow(context.Context, string, ...interface{}) pgx.Row
}

// New returns the queries on a connection.
func New(db DBTX) *Queries { return &Queries{db: db} }

// Queries are those of queries/.
type Queries struct{ db DBTX }

const withdraw = `-- name: Withdraw :one
WITH locked AS (
    SELECT a.id, a.balance
    FROM account AS a
    WHERE a.id = $1::text AND is_open(a)
    FOR UPDATE
), changed AS (
    UPDATE account AS a
    SET balance = a.balance - $2::integer
    FROM locked AS l
    WHERE a.id = l.id AND l.balance >= $2::integer
    RETURNING a.balance
)
SELECT (CASE WHEN l.id IS NULL THEN 'unknown' WHEN c.balance IS NULL THEN 'refused' ELSE 'paid' END)::text AS outcome, c.balance
FROM (VALUES (true)) AS one (n)
LEFT JOIN locked AS l ON true
LEFT JOIN changed AS c ON true
`

type WithdrawParams struct {
	ID     string
	Amount int32
}

type WithdrawRow struct {
	Outcome string
	Balance *int32
}

func (q *Queries) Withdraw(ctx context.Context, arg WithdrawParams) (WithdrawRow, error) {
	row := q.db.QueryRow(ctx, withdraw, arg.ID, arg.Amount)
	var i WithdrawRow
	err := row.Scan(&i.Outcome, &i.Balance)
	return i, err
}

const tick = `-- name: Tick :one
UPDATE account AS a
SET balance = a.balance - 1
WHERE a.id = $1::text AND a.balance > 0
RETURNING a.balance
`

func (q *Queries) Tick(ctx context.Context, id string) (int32, error) {
	row := q.db.QueryRow(ctx, tick, id)
	var balance int32
	err := row.Scan(&balance)
	return balance, err
}
