package main

import (
	"io"
	"os"
)

// beneath is the writer that an output writes to.
func beneath(w io.Writer) io.Writer {
	if o, ok := w.(*output); ok {
		return o.Writer
	}
	return w
}

// isTerminal says whether somebody watches w.
func isTerminal(w io.Writer) bool {
	f, ok := beneath(w).(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// colours writes text in colour, or as it is.
type colours bool

// coloursFor says whether w takes colours: a terminal does, unless NO_COLOR is set (no-color.org).
func coloursFor(w io.Writer) colours {
	return colours(isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	plain  = "\x1b[0m"
)

func (c colours) in(colour, text string) string {
	if !c {
		return text
	}
	return colour + text + plain
}
