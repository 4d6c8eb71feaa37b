package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// none stands for what wasn't measured.
const none = "—"

// count writes v without decimals, in groups of three digits.
func count(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// took writes a latency in nanoseconds with three significant digits.
func took(ns float64) string {
	us := ns / 1e3
	switch {
	case us < 9.995:
		return fmt.Sprintf("%.2f µs", us)
	case us < 99.95:
		return fmt.Sprintf("%.1f µs", us)
	case us < 999.5:
		return fmt.Sprintf("%.0f µs", us)
	case us < 9_995:
		return fmt.Sprintf("%.2f ms", us/1e3)
	case us < 99_950:
		return fmt.Sprintf("%.1f ms", us/1e3)
	default:
		return fmt.Sprintf("%s ms", count(us/1e3))
	}
}

// figure writes v with as many decimals as it has, but two at most.
func figure(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}

// measured writes a figure that is zero if it wasn't measured.
func measured(v float64, write func(float64) string) string {
	if v == 0 {
		return none
	}
	return write(v)
}

func sizeName(rows int64) string {
	switch {
	case rows >= 1_000_000 && rows%1_000_000 == 0:
		return fmt.Sprintf("%d million", rows/1_000_000)
	case rows >= 1_000 && rows < 1_000_000 && rows%1_000 == 0:
		return fmt.Sprintf("%d thousand", rows/1_000)
	default:
		return count(float64(rows))
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func twoDecimals(v float64) string { return fmt.Sprintf("%.2f", v) }

// brackets writes the spread of s, if there is any to speak of.
func brackets(s Spread, write func(float64) string) string {
	if s.N < 2 {
		return ""
	}
	return fmt.Sprintf(" [%s–%s]", write(s.Low), write(s.High))
}

// delayName is d in milliseconds.
func delayName(d time.Duration) string {
	if d == 0 {
		return "no delay"
	}
	return strconv.FormatFloat(float64(d)/1e6, 'f', -1, 64) + " ms"
}

func onNetwork(d time.Duration) string {
	if d == 0 {
		return delayName(d)
	}
	return delayName(d) + " of network"
}

func bytesName(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return count(float64(n)) + " B"
	}
}

// table writes a Markdown table. The columns after the first left ones are aligned to the right.
type table struct {
	b    strings.Builder
	left int
}

func newTable(left int, head ...string) *table {
	t := &table{left: left}
	t.row(head...)
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = "---"
		if i >= left {
			rule[i] = "---:"
		}
	}
	t.b.WriteString("|" + strings.Join(rule, "|") + "|\n")
	return t
}

func (t *table) row(cells ...string) {
	escaped := make([]string, len(cells))
	for i, c := range cells {
		escaped[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	t.b.WriteString("| " + strings.Join(escaped, " | ") + " |\n")
}

func (t *table) String() string { return t.b.String() }

// notes gives a letter to each text.
type notes struct{ texts []string }

func (n *notes) mark(text string) string {
	if text == "" {
		return ""
	}
	i := 0
	for i < len(n.texts) && n.texts[i] != text {
		i++
	}
	if i == len(n.texts) {
		n.texts = append(n.texts, text)
	}
	return "<sup>" + letter(i) + "</sup>"
}

func (n *notes) String() string {
	var b strings.Builder
	for i, text := range n.texts {
		fmt.Fprintf(&b, "- %s: %s\n", letter(i), text)
	}
	return b.String()
}

// letter is a, b … z, aa, ab …
func letter(i int) string {
	s := string(rune('a' + i%26))
	if i >= 26 {
		return letter(i/26-1) + s
	}
	return s
}
