package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const written = `package store

import "time"

const getThing = ` + "`-- name: GetThing :one\nSELECT 1\n`" + `

type GetThingParams struct {
	Lifetime time.Duration
	Other    *string
	ID       ThingID
	Name     string
}

type GetThingRow struct {
	Name string
	ID   ThingID
}
`

func arranged(t *testing.T, parameters, text string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "parameters.txt")
	if err := os.WriteFile(path, []byte(parameters), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := readGlossary(path)
	if err != nil {
		return "", err
	}
	out, err := g.arrange([]byte(text), map[string]string{"name": "Its name.", "other": "Another one."})
	return string(out), err
}

func TestFieldsAreArrangedAndCommented(t *testing.T) {
	t.Parallel()
	const parameters = "# what it is\nID OtherID: Not this one.\nID: The thing.\nName:\nGetThing.Lifetime: How long it lasts.\n...\nLifetime: Not this one.\n"
	const want = `type GetThingParams struct {
	// The thing.
	ID ThingID
	// Its name.
	Name string
	// How long it lasts.
	Lifetime time.Duration
	// Another one.
	Other *string
}

type GetThingRow struct {
	Name string
	ID   ThingID
}
`
	got, err := arranged(t, parameters, written)
	if err != nil {
		t.Fatal(err)
	}
	if _, types, _ := strings.Cut(got, "SELECT 1\n`\n\n"); types != want {
		t.Errorf("got\n%s\nwant\n%s", types, want)
	}
	if again, err := arranged(t, parameters, got); err != nil || again != got {
		t.Errorf("done again it is\n%s, %v", again, err)
	}
}

func TestFieldWithoutACommentIsAnError(t *testing.T) {
	t.Parallel()
	for parameters, want := range map[string]string{
		"ID: The thing.\n":             "GetThing.Lifetime of type time.Duration: no comment",
		"ID: The thing.\nID: Again.\n": `:2: "ID: Again." is not a name`,
		"The thing\n":                  `:1: "The thing" is not a name`,
	} {
		if _, err := arranged(t, parameters, written); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", parameters, err, want)
		}
	}
}
