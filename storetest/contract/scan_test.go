package contract

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/store"
)

// reads are the calls that decide and write nothing.
var reads = []string{
	"AuthenticateClient", "CheckAuthorizationRequest", "CheckConsent",
	"IntrospectAccessToken", "IntrospectAccessTokenByID", "IntrospectAuthorization", "IntrospectRefreshToken", "IntrospectToken",
}

// decides says whether a call answers an outcome, by its type.
func decides(call reflect.Method) bool {
	outcome, row := reflect.TypeFor[store.Outcome](), call.Type.Out(0)
	if row == outcome {
		return true
	}
	if row.Kind() != reflect.Struct {
		return false
	}
	f, found := row.FieldByName("Outcome")
	return found && f.Type == outcome
}

// unraced are the calls of a store that answer an outcome, aren't reads, and have no race.
func unraced(querier reflect.Type) (calls []string) {
	for call := range querier.Methods() {
		if decides(call) && !slices.Contains(reads, call.Name) && !slices.Contains(Raced(), call.Name) {
			calls = append(calls, call.Name)
		}
	}
	return calls
}

// TestEachDecisionIsRaced holds the races to the types of package store. internal/storetests/race holds them to the queries as well, which
// tell of calls that write by what they find and answer no outcome.
func TestEachDecisionIsRaced(t *testing.T) {
	t.Parallel()
	querier := reflect.TypeFor[store.Querier]()
	writes, err := queryfile.ConditionalWrites("../../queries", "../../routines")
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range reads {
		if slices.Contains(writes, call) {
			t.Errorf("%s writes", call)
		}
	}
	for _, call := range unraced(querier) {
		t.Errorf("%s decides and has no race: write one, and name it in races", call)
	}
	for _, call := range append(Raced(), reads...) {
		if _, found := querier.MethodByName(call); !found {
			t.Errorf("there is no call %s", call)
		}
	}
	type newer interface {
		store.Querier
		SpendSomething(id store.UserID) (store.Outcome, error)
		SpendMore(id store.UserID) (store.SuspendUserRow, error)
		GetSomething(id store.UserID) (store.User, error)
	}
	if got, want := unraced(reflect.TypeFor[newer]()), []string{"SpendMore", "SpendSomething"}; !slices.Equal(got, want) {
		t.Errorf("of calls that are new, these need a race: %v, want %v", got, want)
	}
}

// TestGroupsAreOfTheStoresCalls: no call is in two groups, and each race needs the group that its call is in.
func TestGroupsAreOfTheStoresCalls(t *testing.T) {
	t.Parallel()
	groups := map[string]string{}
	for field := range reflect.TypeFor[Store]().Fields() {
		for call := range field.Type.Methods() {
			if groups[call.Name] != "" {
				t.Errorf("%s is in %s and in %s", call.Name, groups[call.Name], field.Name)
			}
			groups[call.Name] = field.Name
		}
	}
	for _, p := range races {
		if groups[p.name] == "" || !slices.Contains(strings.Fields(p.groups), groups[p.name]) {
			t.Errorf("the race of %s needs no %q", p.name, groups[p.name])
		}
	}
	for _, c := range collections {
		if groups[c.call] != "Collection" {
			t.Errorf("%s is in %s", c.call, groups[c.call])
		}
	}
}
