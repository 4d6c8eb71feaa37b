package store

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"
)

// What sqlc writes for an enum is an sql.Scanner, which pgx plans anew for each row and hands a value in an interface. As a TextScanner it
// costs the word alone.

// ScanText implements [pgtype.TextScanner].
func (e *Outcome) ScanText(v pgtype.Text) error { return scanWord(e, v) }

// ScanText implements [pgtype.TextScanner].
func (e *TokenKind) ScanText(v pgtype.Text) error { return scanWord(e, v) }

// ScanText implements [pgtype.TextScanner].
func (e *AuthorizationStatus) ScanText(v pgtype.Text) error { return scanWord(e, v) }

// ScanText implements [pgtype.TextScanner].
func (e *AuthorizationKind) ScanText(v pgtype.Text) error { return scanWord(e, v) }

// ScanText implements [pgtype.TextScanner].
func (e *RevocationReason) ScanText(v pgtype.Text) error { return scanWord(e, v) }

// ScanText implements [pgtype.TextScanner].
func (e *OAuthClientField) ScanText(v pgtype.Text) error { return scanWord(e, v) }

func scanWord[W ~string](to *W, v pgtype.Text) error {
	if !v.Valid {
		return fmt.Errorf("store: cannot scan NULL into %T", to)
	}
	*to = W(v.String)
	return nil
}
