package db

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

func TestPositionsAreWhereARecordEnds(t *testing.T) {
	t.Parallel()
	const page, segment = 8 << 10, 16 << 20
	for lsn, want := range map[int64]int64{
		5*segment + 40:          5 * segment,
		5*segment + 24:          5*segment + 24, // inside of the header, where nothing is
		5*segment + 48:          5*segment + 48,
		5*segment + page + 24:   5*segment + page,
		5*segment + page + 32:   5*segment + page + 32, // after the rest of a record
		5*segment + page + 40:   5*segment + page + 40,
		5*segment + page + 1024: 5*segment + page + 1024,
	} {
		if got := endOfRecord(lsn, page, segment); got != want {
			t.Errorf("%X: %X, want %X", lsn, got, want)
		}
	}
}

func TestAReplicaNeedsAWait(t *testing.T) {
	t.Parallel()
	if _, err := OpenReplica(t.Context(), "", nil, Options{ReplicaWait: -1}); err == nil {
		t.Error("a negative wait is taken")
	}
}

// A position that was begun before somebody came may lie before what they have to see.
func TestPositionsAreSharedByThoseWhoCameBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads uint64
		p := positions{ctx: t.Context(), read: func(ctx context.Context) (Position, error) {
			reads++
			at := Position{1, reads}
			time.Sleep(time.Second)
			return at, ctx.Err()
		}}
		var first, rest, last []Position
		var mu sync.Mutex // those who share a position get it at the same time
		ask := func(got *[]Position) {
			go func() {
				at, err := p.next(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				*got = append(*got, at)
			}()
			synctest.Wait()
		}
		ask(&first)
		for range 50 {
			ask(&rest)
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if at, err := p.next(impatient); err == nil || !at.IsZero() {
			t.Errorf("%v, %v for somebody who doesn't wait", at, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		ask(&last) // while the second is read
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(first) != 1 || first[0].lsn != 1 {
			t.Errorf("the first has %v", first)
		}
		for _, at := range rest {
			if len(rest) != 50 || at.lsn != 2 {
				t.Fatalf("those who came meanwhile have %v", rest)
			}
		}
		if len(last) != 1 || last[0].lsn != 3 || reads != 3 || p.running {
			t.Errorf("the last has %v after %d", last, reads)
		}
		ask(&last)
		time.Sleep(2 * time.Second)
		if len(last) != 2 || last[1].lsn != 4 {
			t.Errorf("who comes when nobody waits has %v", last)
		}
	})
}
