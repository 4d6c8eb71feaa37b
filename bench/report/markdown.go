package report

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Main runs a command of the benchmarks until it ends or is interrupted; a second interrupt doesn't wait for the cleaning up after the first.
func Main(name string, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Logf says on standard error what a command is doing.
func Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// Put puts text between the marks of a page: <!-- begin mark --> and <!-- end mark -->. Without a page it prints it.
func Put(page, mark, text string) error {
	if page == "" {
		fmt.Println(text)
		return nil
	}
	begin, end := "<!-- begin "+mark+" -->\n", "<!-- end "+mark+" -->"
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	head, rest, found := strings.Cut(string(old), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for %s", page, mark)
	}
	return os.WriteFile(page, []byte(head+begin+"\n"+strings.TrimSpace(text)+"\n\n"+end+tail), 0o644)
}

// Table is one in Markdown. Columns after the first left ones are aligned to the right.
type Table struct{ strings.Builder }

// NewTable begins one.
func NewTable(left int, head ...string) *Table {
	t := &Table{}
	t.Row(head...)
	t.WriteString("|" + strings.Repeat("---|", left) + strings.Repeat("---:|", len(head)-left) + "\n")
	return t
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

// None is what wasn't measured.
const None = "—"

// or writes v, unless it is 0, which is what wasn't measured.
func or(v float64, write func(float64) string) string {
	if v == 0 {
		return None
	}
	return write(v)
}

// Count writes v without decimals, in groups of three digits.
func Count(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Took writes nanoseconds with three significant digits.
func Took[T ~int64 | ~float64](ns T) string {
	v, units := float64(ns)/1e3, []string{" µs", " ms", " s"}
	for ; v >= 999.5 && len(units) > 1; units = units[1:] {
		v /= 1e3
	}
	return strconv.FormatFloat(v, 'f', max(0, 3-len(strconv.Itoa(int(v)))), 64) + units[0]
}

// Bytes writes a number of them.
func Bytes(n int64) string { return Count(float64(n)) + " B" }

// Decimals writes v with two of them.
func Decimals(v float64) string { return fmt.Sprintf("%.2f", v) }

// figure writes v with a decimal if it has any.
func figure(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// Verdict says whether an aim was met.
func Verdict(met bool) string { return map[bool]string{true: "met", false: "**missed**"}[met] }

// Plural counts things.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Median is the value in the middle, of one at least.
func Median[T cmp.Ordered](values []T) T { return slices.Sorted(slices.Values(values))[len(values)/2] }

// times writes a multiple in brackets, and nothing of no rounds.
func times(s Spread) string {
	if s.N == 0 {
		return ""
	}
	return " (" + Decimals(s.Median) + ")"
}

// spread writes the quartiles, if there are any to speak of.
func spread(s Spread, write func(float64) string) string {
	if s.N < 2 {
		return ""
	}
	return " [" + write(s.Low) + "–" + write(s.High) + "]"
}

// sizeName writes a number of rows.
func sizeName(rows int64) string {
	switch {
	case rows >= 1e6 && rows%1e6 == 0:
		return fmt.Sprintf("%d million", rows/1e6)
	case rows >= 1e3 && rows < 1e6 && rows%1e3 == 0:
		return fmt.Sprintf("%d thousand", rows/1e3)
	}
	return Count(float64(rows))
}

func delayName(d time.Duration) string {
	if d == 0 {
		return "no network"
	}
	return strconv.FormatFloat(float64(d)/1e6, 'f', -1, 64) + " ms away"
}
