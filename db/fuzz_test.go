package db_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/token"
)

// planted is a secret that must not show, whole or its middle.
const planted = "hunter2-correct/horse battery"

// telling makes an error of a kind, with a text somewhere in it.
type telling func(text, code string) error

var leaks = []telling{
	func(text, code string) error {
		return &pgconn.PgError{
			Severity: text, SeverityUnlocalized: text, Code: code, Message: text, Detail: text, Hint: text, InternalQuery: text, Where: text,
			SchemaName: text, TableName: text, ColumnName: text, DataTypeName: text, ConstraintName: text, File: text, Routine: text,
		}
	},
	func(text, code string) error {
		return &pgconn.PgError{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: text, Message: text}
	},
	func(text, code string) error { return errors.New(text) },
	func(text, code string) error { return fmt.Errorf("%s: %w", text, io.EOF) },
	func(text, code string) error { return fmt.Errorf("query %s: %s", text, code) },
	func(text, code string) error { return fmt.Errorf("query %s: %w", code, errors.New(text)) },
	func(text, code string) error {
		return errors.Join(errors.New(text), context.Canceled, errors.New(code+text))
	},
	func(text, code string) error {
		return fmt.Errorf("failed to encode args[%s]: %w", code, errors.New(text))
	},
	func(text, code string) error {
		return fmt.Errorf("failed to encode args[%s]: unable to encode %#v", text, text)
	},
	func(text, code string) error { return fmt.Errorf("can't scan into dest[0] (col: %s): %s", text, text) },
	func(text, code string) error {
		return fmt.Errorf("unable to encode %#v into binary format for text (OID 25)", text)
	},
	func(text, code string) error {
		_, err := pgtype.NewMap().Encode(pgtype.Int4OID, pgtype.BinaryFormatCode, text, nil)
		return err
	},
	func(text, code string) error {
		var n int
		return pgtype.NewMap().Scan(pgtype.TextOID, pgtype.TextFormatCode, []byte(text), &n)
	},
	func(text, code string) error {
		return pgx.ScanArgError{ColumnIndex: 1, FieldName: text, Err: errors.New(text)}
	},
	func(text, code string) error {
		_, err := pgx.ParseConfig("postgres://u:" + text + "@" + code)
		return err
	},
	func(text, code string) error {
		_, err := pgxpool.ParseConfig("user=u password='" + text + "' " + code)
		return err
	},
	func(text, code string) error {
		_, err := db.ParseConfig("postgres://u:"+text+"@h/d?"+code, db.Options{})
		return err
	},
	func(text, code string) error {
		_, err := url.Parse("postgres://" + text + ":%zz" + code)
		return err
	},
	func(text, code string) error { return &url.Error{Op: text, URL: text, Err: errors.New(text)} },
	func(text, code string) error {
		return &net.OpError{Op: text, Net: text, Err: &os.SyscallError{Syscall: text, Err: syscall.ECONNREFUSED}}
	},
	func(text, code string) error { return &net.OpError{Op: "dial", Net: text, Err: errors.New(text)} },
	func(text, code string) error {
		return &net.DNSError{Err: text, Name: text, Server: text, IsNotFound: len(code)%2 == 0}
	},
	func(text, code string) error { return &net.AddrError{Err: text, Addr: text} },
	func(text, code string) error { return &os.PathError{Op: text, Path: text, Err: os.ErrNotExist} },
	func(text, code string) error {
		return x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{text}}, Host: text}
	},
	func(text, code string) error { return tls.RecordHeaderError{Msg: text} },
	func(text, code string) error { return json.Unmarshal([]byte(`"`+text), new(int)) },
	func(text, code string) error {
		_, err := strconv.Atoi(text)
		return err
	},
	func(text, code string) error { return fmt.Errorf("%w: %w", db.ErrCommitUnknown, errors.New(text)) },
	func(text, code string) error { return &hidden{text} },
}

// hidden is an error of a type that nobody knows.
type hidden struct{ text string }

func (h *hidden) Error() string { return h.text }

// FuzzDescribe plants a secret in errors of every kind, with any text around it: it never shows.
func FuzzDescribe(f *testing.F) {
	for kind := range leaks {
		f.Add(uint8(kind), "", "", "23505", "")
		f.Add(uint8(kind), `duplicate key value violates unique constraint "`, `"`, "23505", "query GetUser: ")
		f.Add(uint8(kind), "Lifetime is missing", "", "22023", "GetUser")
		f.Add(uint8(kind), "", " is missing", "22023", "doing it: ")
		f.Add(uint8(kind), `column "`, `" does not exist`, "42703", "")
	}
	f.Fuzz(func(t *testing.T, kind uint8, before, after, code, around string) {
		err := leaks[int(kind)%len(leaks)](before+planted+after, code)
		if err == nil {
			return
		}
		if around != "" {
			err = fmt.Errorf("%s%w", around, err)
		}
		shown := db.Describe(err)
		for _, part := range []string{planted, "hunter2", "battery", strings.ToUpper(planted), url.QueryEscape(planted), url.PathEscape(planted), strconv.Quote(planted)} {
			if strings.Contains(shown, part) {
				t.Fatalf("%T: %q shows the secret", err, shown)
			}
		}
		if shown == "" {
			t.Fatalf("%T: no description", err)
		}
		// nor does anything else of a text that comes from outside
		if len(around) > 40 && strings.Contains(shown, around) {
			t.Fatalf("%T: %q shows what is around the error", err, shown)
		}
	})
}

// What the calls say of a parameter is known, so that it can be shown.
func TestRefusedParametersAreNamed(t *testing.T) {
	t.Parallel()
	reason := regexp.MustCompile(`refuse_parameter\([^,()]+, '((?:[^']|'')+)'`)
	files, err := filepath.Glob("../routines/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no routines: %v", err)
	}
	var texts []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	queries, err := queryfile.ReadDir("../queries")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		texts = append(texts, q.SQL)
	}
	found := 0
	for _, match := range reason.FindAllStringSubmatch(strings.Join(texts, "\n"), -1) {
		message := "Lifetime " + strings.ReplaceAll(match[1], "''", "'")
		want := "ERROR: " + message + " (SQLSTATE 22023)"
		if got := db.Describe(&pgconn.PgError{Severity: "ERROR", Code: "22023", Message: message}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		found++
	}
	if found < 20 {
		t.Errorf("only %d refusals were found", found)
	}
	for _, message := range []string{"hunter2 is missing", "Lifetime is hunter2", "Lifetime", " is missing", "Lifetime is missing hunter2"} {
		if got := db.Describe(&pgconn.PgError{Severity: "ERROR", Code: "22023", Message: message}); got != "ERROR: message withheld (SQLSTATE 22023)" {
			t.Errorf("%q is described as %q", message, got)
		}
	}
}

// What is known is said: an operator has to see why there is no answer.
func TestDescribeSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}}
	for want, err := range map[string]error{
		"context canceled":                         fmt.Errorf("query GetUser of alice: %w", context.Canceled),
		"query GetUser: context deadline exceeded": fmt.Errorf("query GetUser: %w", context.DeadlineExceeded),
		"query GetUser: no rows in result set":     fmt.Errorf("query GetUser: %w", pgx.ErrNoRows),
		"dial: connection refused":                 refused,
		"no such host":                             fmt.Errorf("x: %w", &net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true}),
		"dial: connection refused; EOF":            errors.Join(refused, io.EOF, refused),
		"message withheld (*db_test.hidden)":       fmt.Errorf("x: %w", &hidden{planted}),
		"conn closed":                              errors.New("conn closed"),
		"cannot parse the connection string":       func() error { _, err := pgx.ParseConfig("postgres://u:p@h:x"); return err }(),
		"FATAL: too many connections (SQLSTATE 53300)": &pgconn.PgError{
			Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "53300", Message: "sorry, too many clients already",
		},
		"failed to encode args[0]: value withheld": fmt.Errorf("failed to encode args[0]: %w", token.ErrDigest),
	} {
		if got := db.Describe(err); got != want {
			t.Errorf("%v is described as %q, want %q", err, got, want)
		}
	}
	_, err := db.Open(t.Context(), "postgres://nobody@127.0.0.1:1/nothing?sslmode=disable", db.Options{})
	if got := db.Describe(err); got != "cannot connect: dial: connection refused" {
		t.Errorf("%v is described as %q", err, got)
	}
}

// FuzzParseConfig: no connection string, however broken, has its password in an error.
func FuzzParseConfig(f *testing.F) {
	for _, around := range [][2]string{
		{"postgres://auth:", "@localhost/auth"},
		{"postgres://auth:", "@localhost:x/auth"},
		{"user=auth password=", " host=localhost"},
		{"password='", ""},
		{"postgres://auth:", "@h/d?pool_max_conns=x"},
		{"postgres://auth:", "@h/d?sslmode=x&connect_timeout=x"},
		{"postgres://h/d?password=", "&sslmode=x"},
		{"postgres://h/d?sslpassword=", "&sslkey=x&sslcert=x"},
		{"host=h port=", " password=x"},
		{"password = ", "\\"},
		{"postgres://", "/"},
		{"postgres://auth:%zz", "@h"},
		{"passfile=/nothing password=", " target_session_attrs=x"},
		{"postgres://auth:", "@h/d?default_query_exec_mode=x"},
		{"", ""},
		{"service=", ""},
	} {
		f.Add(around[0], around[1])
	}
	const password = "hunter2CorrectHorse"
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.ContainsRune(before+after, 0) || strings.Contains(before+after, "/dev") || strings.Contains(before+after, "/proc") {
			return // files that are named are read
		}
		_, err := db.ParseConfig(before+password+after, db.Options{})
		if err == nil {
			return
		}
		for _, shown := range []string{err.Error(), fmt.Sprintf("%+v", err), db.Describe(err)} {
			if strings.Contains(shown, password) {
				t.Fatalf("%q shows the password", shown)
			}
		}
	})
}
