package db

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Describe returns a text of err for a log line or a trace. It is made of words that are known to hold no values; any other text is
// withheld.
//
// For an error of the server it holds the severity, what the SQLSTATE means, the SQLSTATE, and the names of table, column, type and
// constraint. It doesn't hold the message, detail, hint or context, which may quote statements and rows. A parameter that a call of package
// store refuses is named. For other errors it says what has happened as far as their types tell, such as a connection that is refused,
// and names the call of package store. Of what is unknown, it names the Go type. For nil it is empty.
func Describe(err error) string {
	if err == nil {
		return ""
	}
	if pgErr := serverError(err); pgErr != nil {
		return describeServer(pgErr)
	}
	return call(err) + describeOther(err)
}

func describeServer(e *pgconn.PgError) string {
	var b strings.Builder
	b.WriteString(severity(e))
	b.WriteString(": ")
	code := e.Code
	if !sqlState.MatchString(code) {
		code = "unknown"
	}
	switch condition, known := conditions[code]; {
	case code == invalidParameter && namesParameter(e.Message):
		b.WriteString(e.Message)
	case known:
		b.WriteString(condition)
	default:
		b.WriteString("message withheld")
	}
	b.WriteString(" (SQLSTATE " + code)
	for _, name := range []struct{ of, is string }{
		{"table", e.TableName},
		{"column", e.ColumnName},
		{"type", e.DataTypeName},
		{"constraint", e.ConstraintName},
	} {
		if identifier.MatchString(name.is) {
			b.WriteString(", " + name.of + " " + name.is)
		}
	}
	b.WriteString(")")
	return b.String()
}

var (
	sqlState   = regexp.MustCompile(`\A[0-9A-Z]{5}\z`)
	identifier = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_$]{0,62}\z`)
)

// conditions are what the SQLSTATEs mean that a call of package store, or a connection, may well end in.
var conditions = map[string]string{
	"08000": "connection exception", "08003": "connection does not exist", "08006": "connection failure", "08P01": "protocol violation",
	"0A000":               "feature not supported",
	"23001":               "restricted by a foreign key",
	notNullViolation:      "not-null constraint violated",
	foreignKeyViolation:   "foreign key violated",
	uniqueViolation:       "unique constraint violated",
	checkViolation:        "check constraint violated",
	"23P01":               "exclusion constraint violated",
	"25001":               "a transaction is open",
	"25006":               "read-only transaction",
	"25P02":               "the transaction is aborted",
	idleInTransaction:     "terminated: idle in a transaction for too long",
	transactionTimeout:    "terminated: the transaction took too long",
	"28000":               "role or address not authorized",
	"28P01":               "wrong password",
	"3D000":               "no such database",
	serializationFailure:  "serialization failure",
	"40002":               "integrity constraint violated at the end of the transaction",
	"40003":               "unknown whether the statement was completed",
	deadlockDetected:      "deadlock detected",
	insufficientPrivilege: "permission denied",
	"42703":               "undefined column",
	"42804":               "datatype mismatch",
	"42883":               "undefined function",
	undefinedTable:        "undefined table",
	"53000":               "insufficient resources", "53100": "disk full", "53200": "out of memory",
	tooManyConnections: "too many connections",
	"55000":            "object not in the required state",
	"55006":            "object in use",
	lockNotAvailable:   "lock not available in time",
	queryCanceled:      "statement canceled, by its timeout or by request",
	adminShutdown:      "terminated by an administrator",
	crashShutdown:      "terminated by a crash of the server",
	cannotConnectNow:   "the server is starting up or shutting down",
	idleSession:        "terminated: idle for too long",
}

// namesParameter says whether a message is what refuse_parameter, a routine of the schema, says of a parameter of a call.
func namesParameter(message string) bool {
	name, reason, _ := strings.Cut(message, " ")
	return parameters()[name] && slices.Contains(refusals, reason)
}

// refusals are all reasons that the routines and queries give for a refusal.
var refusals = []string{
	"is missing", "is missing or past", "is missing or under 1", "is missing or under a second", "is without end",
	"is without end, but the token is to have no row", "is set, but the token is to have no row", "is not a list",
	"is that of another token", "is that of another grant", "is that of a grant with other tokens",
	"can't be changed, because all subjects of the client would change",
}

// parameters are the names of all parameters that calls of package store take.
var parameters = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for call := range reflect.TypeFor[store.Querier]().Methods() {
		for in := range call.Type.Ins() {
			if in.Kind() == reflect.Struct {
				for field := range in.Fields() {
					names[field.Name] = true
				}
			}
		}
	}
	return names
})

// calls are the names of all calls of package store.
var calls = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for call := range reflect.TypeFor[store.Querier]().Methods() {
		names[call.Name] = true
	}
	return names
})

// call is the beginning of an error of package store, which names the call.
func call(err error) string {
	rest, found := strings.CutPrefix(err.Error(), "query ")
	name, _, isCall := strings.Cut(rest, ": ")
	if !found || !isCall {
		return ""
	}
	if _, isCall = reflect.TypeFor[store.Querier]().MethodByName(name); !isCall {
		return ""
	}
	return "query " + name + ": "
}

// plain are errors whose texts are the same always.
var plain = []error{
	context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded,
	pgx.ErrNoRows, pgx.ErrTooManyRows, pgx.ErrTxClosed, pgx.ErrTxCommitRollback, ErrCommitUnknown, ErrStandby, ErrSchema, ErrPrivileges, errNoCopy, token.ErrRaw, token.ErrDigest,
}

// plainTexts are those of errors that pgx and its pool don't export.
var plainTexts = []string{"server refused TLS connection", "conn closed", "conn busy", "conn uninitialized", "closed pool", "tx is closed", "batch already closed", "no more results in batch"}

// quoting are the beginnings of what pgx says of an argument or a column, and goes on to quote.
var quoting = regexp.MustCompile(`\A(?:failed to encode args\[\d{1,5}\]|can't scan into dest\[\d{1,5}\]|unable to encode|cannot scan)`)

// describeOther looks for what is known down the chain of errors.
func describeOther(err error) string {
	if slices.ContainsFunc(plain, func(known error) bool { return err == known }) {
		return err.Error()
	}
	text := err.Error()
	if slices.Contains(plainTexts, text) {
		return text
	}
	if what := quoting.FindString(text); what != "" {
		return what + ": value withheld"
	}
	switch e := err.(type) {
	case syscall.Errno, tls.AlertError:
		return text
	case *pgconn.ConnectError:
		return "cannot connect: " + describeOther(e.Unwrap())
	case *pgconn.ParseConfigError:
		return "cannot parse the connection string"
	case *net.OpError:
		if inner := e.Unwrap(); inner != nil && slices.Contains([]string{"dial", "read", "write", "close", "set"}, e.Op) {
			return e.Op + ": " + describeOther(inner)
		}
	case *net.DNSError:
		switch {
		case e.IsNotFound:
			return "no such host"
		case e.IsTimeout:
			return "the host's address can't be found in time"
		}
		return "the host's address can't be found"
	case x509.UnknownAuthorityError:
		return "x509: certificate signed by unknown authority"
	case x509.HostnameError:
		return "x509: certificate is not valid for the host"
	case x509.CertificateInvalidError:
		return "x509: certificate is invalid"
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return describeOther(inner)
		}
	case interface{ Unwrap() []error }:
		var texts []string
		for _, inner := range e.Unwrap() {
			if inner == nil {
				continue
			}
			if text := describeOther(inner); !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
		if len(texts) > 0 {
			return strings.Join(texts, "; ")
		}
	}
	return fmt.Sprintf("message withheld (%T)", err)
}
