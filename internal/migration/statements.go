package main

import (
	"fmt"
	"regexp"
	"strings"
)

// statements splits SQL at its semicolons. Each statement begins with its first word, so comments above it are left out, and
// ends with its semicolon. It knows strings, quoted identifiers, dollar quotes, comments and the bodies of BEGIN ATOMIC.
func statements(text string) ([]string, error) {
	var found []string
	start := -1 // of the statement, -1 between two
	depth := 0  // of BEGIN ATOMIC and the CASEs within
	begin := func(i int) {
		if start < 0 {
			start = i
		}
	}
	previous := "" // word, in upper case
	for i := 0; i < len(text); {
		rest := text[i:]
		n := 1
		switch c := rest[0]; {
		case strings.HasPrefix(rest, "--"):
			n = strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
		case strings.HasPrefix(rest, "/*"):
			if n = blockComment(rest); n < 0 {
				return nil, fmt.Errorf("a comment that begins with %.40q doesn't end", rest)
			}
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		case c == '\'' || c == '"':
			begin(i)
			escapes := c == '\'' && (previous == "E" && i > 0 && (text[i-1] == 'e' || text[i-1] == 'E'))
			if n = quoted(rest, c, escapes); n < 0 {
				return nil, fmt.Errorf("a string that begins with %.40q doesn't end", rest)
			}
		case c == '$' && dollar.MatchString(rest):
			begin(i)
			tag := dollar.FindString(rest)
			end := strings.Index(rest[len(tag):], tag)
			if end < 0 {
				return nil, fmt.Errorf("what begins with %s doesn't end", tag)
			}
			n = end + 2*len(tag)
		case c == ';':
			if depth == 0 && start >= 0 {
				found = append(found, text[start:i+1])
				start, previous = -1, ""
			}
		default:
			begin(i)
			if w := word.FindString(rest); w != "" {
				n = len(w)
				switch w = strings.ToUpper(w); {
				case w == "ATOMIC" && previous == "BEGIN":
					depth++
				case w == "CASE" && depth > 0:
					depth++
				case w == "END" && depth > 0:
					depth--
				}
				previous = w
			}
		}
		i += n
	}
	if start >= 0 {
		return nil, fmt.Errorf("the statement that begins with %.40q has no semicolon at its end", text[start:])
	}
	return found, nil
}

var (
	dollar = regexp.MustCompile(`^\$([A-Za-z_][A-Za-z0-9_]*)?\$`)
	word   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*`)
)

// quoted is the length of the string or identifier at the beginning, -1 if it doesn't end. A doubled quote comes out as two
// strings, one right after the other, which makes no difference here.
func quoted(text string, quote byte, escapes bool) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && escapes:
			i++
		case text[i] == quote && escapes && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return -1
}

func blockComment(text string) int {
	depth := 0
	for i := 0; i+1 < len(text); {
		switch text[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return -1
}

// upSection is what goose applies: the lines between -- +goose Up and -- +goose Down.
func upSection(m migration) (string, error) {
	var b strings.Builder
	in, seen := false, false
	for line := range strings.Lines(string(m.text)) {
		switch annotation := goose.FindStringSubmatch(line); {
		case annotation == nil:
			if in {
				b.WriteString(line)
			}
		case strings.EqualFold(annotation[1], "Up"):
			in, seen = true, true
		case strings.EqualFold(annotation[1], "Down"):
			in = false
		}
	}
	if !seen {
		return "", fmt.Errorf("migrations/%s has no line `-- +goose Up`", m.name)
	}
	return b.String(), nil
}

var goose = regexp.MustCompile(`(?i)^--\s*\+goose\s+(\S+)`)
