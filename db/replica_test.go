package db

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/store"
)

func TestPositionsAreText(t *testing.T) {
	t.Parallel()
	at := Position{timeline: 3, lsn: 0x1_016B_3748}
	text, err := json.Marshal(map[string]Position{"at": at, "none": {}})
	if err != nil || string(text) != `{"at":"00000003-00000001016B3748","none":""}` {
		t.Errorf("%s, %v", text, err)
	}
	var read map[string]Position
	if err := json.Unmarshal(text, &read); err != nil || read["at"] != at || !read["none"].IsZero() {
		t.Errorf("%v, %v", read, err)
	}
	for _, broken := range []string{
		"0", "-", "1-1", "00000000-00000001016B3748", "00000003-80000001016B3748", "00000003-00000001016b3748", "00000003-00000001016B3748 ",
		"00000003-00000001016B3748-", "+0000003-00000001016B3748", "0/16B3748",
	} {
		if at, err := ParsePosition(broken); err == nil || !at.IsZero() {
			t.Errorf("%q: %v, %v", broken, at, err)
		}
	}
}

func TestAContextKeepsTheLatestPosition(t *testing.T) {
	t.Parallel()
	early, late, next, none := Position{1, 10}, Position{1, 20}, Position{2, 15}, Position{}
	for _, c := range []struct {
		of   []Position
		want Position
	}{
		{nil, none},
		{[]Position{early}, early},
		{[]Position{early, late}, late},
		{[]Position{late, early}, late},
		{[]Position{none, late}, none},
		{[]Position{late, none}, none},
		{[]Position{late, none, late}, none},
		{[]Position{late, next}, none},
		{[]Position{next, late, next}, none},
	} {
		ctx := context.Background()
		for _, at := range c.of {
			ctx = After(ctx, at)
		}
		if got, _ := ctx.Value(positionKey{}).(Position); got != c.want {
			t.Errorf("after %v: %v, want %v", c.of, got, c.want)
		}
	}
}

func TestStandbysAnswerIntrospectionsAndNothingElse(t *testing.T) {
	t.Parallel()
	for call := range reflect.TypeFor[store.Querier]().Methods() {
		if is := strings.HasPrefix(call.Name, "Introspect"); is != introspections[call.Name] {
			t.Errorf("%s: a standby answers: %t", call.Name, !is)
		}
	}
}

func TestAReplicaNeedsAWait(t *testing.T) {
	t.Parallel()
	if _, err := OpenReplica(t.Context(), "", nil, Options{ReplicaWait: -1}); err == nil {
		t.Error("a negative wait is taken")
	}
}
