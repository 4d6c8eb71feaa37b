package catalog_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/catalog"
)

func TestParagraphs(t *testing.T) {
	t.Parallel()
	for contract, want := range map[string]string{
		"Get returns one; zero rows: none.":                                           "Get returns one; zero rows: none.",
		"Do does.\ndone: it is. late: it is not,\nsince. Zero rows: no such thing.":   "Do does.|[done] it is.|[late] it is not, since.|Zero rows: no such thing.",
		"Do does. late. done: it is. But for 'done' nothing changes.":                 "Do does.|[late] |[done] it is.|But for 'done' nothing changes.",
		"Do does. late; lost; done: it is.":                                           "Do does.|[late] |[lost] |[done] it is.",
		"Do does.\n  - done: it is,\n    at last\n  - late\nNot so.":                  "Do does.|[done] it is, at last|[late] |Not so.",
		"Do does. late; a retry is not. done: it is; so be it. Not a done: it isn't.": "Do does.|[late] a retry is not.|[done] it is; so be it.|Not a done: it isn't.",
	} {
		q := catalog.Query{Contract: contract, Columns: []catalog.Value{{}, {Values: []string{"done", "late", "lost"}}}}
		var got []string
		for _, p := range q.Paragraphs() {
			if p.Outcome != "" {
				p.Text = "[" + p.Outcome + "] " + p.Text
			}
			got = append(got, p.Text)
		}
		if g := strings.Join(got, "|"); g != want {
			t.Errorf("%q:\n got %s\nwant %s", contract, g, want)
		}
	}
}

func TestUnpackReadsWhatPackWrote(t *testing.T) {
	t.Parallel()
	want := &catalog.Catalog{PostgreSQL: 15, Queries: []catalog.Query{
		{Name: "A", SQL: "SELECT 1\nFROM x", Params: []catalog.Value{{Name: "id"}}},
		{Name: "B", Locks: []catalog.Lock{{Table: "x", Strength: catalog.Share, Keys: []string{"id"}}}},
	}}
	packed, err := catalog.Pack(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := catalog.Unpack(packed); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, broken := range [][]byte{nil, []byte("{}"), packed[:len(packed)-9], packed[:len(packed)-1]} {
		if got, err := catalog.Unpack(broken); err == nil {
			t.Errorf("%d of %d bytes: %+v", len(broken), len(packed), got)
		}
	}
}

func TestReviewedKnowsTheOutcomes(t *testing.T) {
	t.Parallel()
	c, err := catalog.Reviewed()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range c.Queries {
		for _, v := range q.Columns {
			if v.Name != "outcome" || strings.HasPrefix(q.Name, "List") { // a list of events has that of each event
				continue
			}
			said := map[string]bool{}
			for _, p := range q.Paragraphs() {
				said[p.Outcome] = true
			}
			delete(said, "")
			if len(said) == 0 && !strings.Contains(q.Contract, q.Name+" is ") {
				t.Errorf("%s: nothing is said of any outcome: %s", q.Name, fmt.Sprint(q.Paragraphs()))
			}
		}
	}
}

// What is in the file is for `make check` to compare with a database.
func TestObjectsNameIndexesTriggersAndFunctions(t *testing.T) {
	t.Parallel()
	objects, err := catalog.Objects()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, o := range objects {
		kinds[o.Kind]++
		if o.Amiss != "" || o.Name == "" || (o.Table == "") != (o.Kind == "table" || o.Kind == "function") || o.Kind == "index" && o.Definition == "" {
			t.Errorf("%+v", o)
		}
	}
	for _, kind := range []string{"table", "index", "constraint", "trigger", "function"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s", kind)
		}
	}
}
