package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	pgquery "github.com/wasilibs/go-pgquery/parser"
)

// token is a token of a text, as PostgreSQL's scanner cuts it. Comments are left out.
type token struct {
	start, end int
	word       string // lower case, unless it is quoted or a string
}

// scan cuts sql into tokens. base is added to their positions.
func scan(sql string, base int) ([]token, error) {
	message, err := pgquery.ScanToProtobuf(sql)
	if err != nil {
		return nil, err
	}
	var found []token
	// ScanResult { int32 version = 1; repeated ScanToken tokens = 2 }
	err = fields(message, func(number int, _ uint64, content []byte) error {
		if number != 2 {
			return nil
		}
		var start, end uint64
		// ScanToken { int32 start = 1; int32 end = 2; … }
		err := fields(content, func(number int, value uint64, _ []byte) error {
			switch number {
			case 1:
				start = value
			case 2:
				end = value
			}
			return nil
		})
		if err != nil {
			return err
		}
		if start > end || end > uint64(len(sql)) {
			return fmt.Errorf("scan: a token from %d to %d", start, end)
		}
		word := sql[start:end]
		switch {
		case strings.HasPrefix(word, "--"), strings.HasPrefix(word, "/*"):
			return nil
		case !strings.ContainsAny(word, `'"`) && !isDollarQuoted(word):
			word = strings.ToLower(word)
		}
		found = append(found, token{start: base + int(start), end: base + int(end), word: word})
		return nil
	})
	return found, err
}

// isDollarQuoted reports whether a token is a string such as $$…$$, and not a parameter.
func isDollarQuoted(word string) bool {
	return len(word) >= 4 && word[0] == '$' && (word[1] < '0' || word[1] > '9')
}

// fields calls f for each field of a message in the wire format of Protocol Buffers.
func fields(message []byte, f func(number int, value uint64, content []byte) error) error {
	for len(message) > 0 {
		key, n := binary.Uvarint(message)
		if n <= 0 {
			return fmt.Errorf("scan: a malformed answer")
		}
		message = message[n:]
		value, n := binary.Uvarint(message)
		if n <= 0 {
			return fmt.Errorf("scan: a malformed answer")
		}
		message = message[n:]
		var content []byte
		switch key & 7 {
		case 0: // a number
		case 2: // bytes, after their length
			if value > uint64(len(message)) {
				return fmt.Errorf("scan: a malformed answer")
			}
			content, message = message[:value], message[value:]
		default:
			return fmt.Errorf("scan: a field of type %d", key&7)
		}
		if err := f(int(key>>3), value, content); err != nil {
			return err
		}
	}
	return nil
}

// text is a text that is taken apart: its tokens, and for each opening one the place of the one that closes it.
type text struct {
	sql    string
	tokens []token
	match  []int // of (, [ and CASE: the index of ), ] and END; else -1
}

func newText(sql string, tokens []token) (*text, error) {
	t := &text{sql: sql, tokens: tokens, match: make([]int, len(tokens))}
	var open []int
	for i, tok := range tokens {
		t.match[i] = -1
		closes := ""
		switch tok.word {
		case "(", "[":
			open = append(open, i)
		case "case":
			if t.word(i-1) != "end" { // END CASE
				open = append(open, i)
			}
		case ")":
			closes = "("
		case "]":
			closes = "["
		case "end":
			if len(open) > 0 && tokens[open[len(open)-1]].word == "case" {
				closes = "case"
			}
		}
		if closes == "" {
			continue
		}
		if len(open) == 0 || tokens[open[len(open)-1]].word != closes {
			return nil, fmt.Errorf("%q at %d closes nothing", tok.word, tok.start)
		}
		t.match[open[len(open)-1]] = i
		open = open[:len(open)-1]
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("%q at %d is not closed", tokens[open[0]].word, tokens[open[0]].start)
	}
	return t, nil
}

// word is that of token i, or empty if there is none.
func (t *text) word(i int) string {
	if i < 0 || i >= len(t.tokens) {
		return ""
	}
	return t.tokens[i].word
}

// next is the index of what follows token i on its level: a group counts as one.
func (t *text) next(i int) int {
	if t.match[i] >= 0 {
		return t.match[i] + 1
	}
	return i + 1
}

// source is the text from token i to before token j, on one line and without comments.
func (t *text) source(i, j int) string {
	var b strings.Builder
	for k := i; k < j; k++ {
		if k > i && t.tokens[k].start > t.tokens[k-1].end {
			b.WriteByte(' ')
		}
		b.WriteString(strings.Join(strings.Fields(t.sql[t.tokens[k].start:t.tokens[k].end]), " "))
	}
	return b.String()
}
