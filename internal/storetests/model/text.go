package model

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// text prints parameters as they are named in SQL, without those that are NULL, and without an id beside what it is the id of.
func text(names map[token.Digest]string, now time.Time, v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case time.Time:
		return fmt.Sprintf("%+v", x.Sub(now))
	case token.Digest:
		if names[x] != "" {
			return names[x]
		}
	case store.AuthorizationID:
		if strings.HasPrefix(string(x), "azn_") {
			return "azn_…" // of which the model knows nothing; and a failure is to read the same each time
		}
	case token.Confirmation:
		return strings.Trim(x.JKT+"+"+x.X5TS256, "+")
	case string:
		if x == fixture.Challenge {
			return "challenge"
		}
	case []string:
		return fmt.Sprint(x)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "NULL"
		}
		return text(names, now, v.Elem())
	case reflect.Slice:
		rows := make([]string, v.Len())
		for i := range rows {
			rows[i] = "{" + text(names, now, v.Index(i)) + "}"
		}
		return "[" + strings.Join(rows, " ") + "]"
	case reflect.Struct:
		var fields []string
		for i := range v.NumField() {
			name, f := v.Type().Field(i).Name, v.Field(i)
			of, isID := strings.CutSuffix(name, "ID")
			if f.IsZero() || isID && of != "" && v.FieldByName(of).IsValid() {
				continue
			}
			fields = append(fields, snake(name)+"="+text(names, now, f))
		}
		return strings.Join(fields, " ")
	}
	return fmt.Sprint(v)
}

// snake writes a field's name as its column's: GrantedScopes is granted_scopes.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(name[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.TrimSuffix(b.String(), "_id")
}
