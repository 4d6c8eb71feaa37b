package main

import (
	"fmt"
	"io"
	"os"
)

// readFile reads a file, or standard input if it is called -, up to a size.
func readFile(c console, name string, limit int64) ([]byte, error) {
	from := c.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	} else {
		name = "standard input"
	}
	content, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("reading %s: longer than %d bytes", name, limit)
	}
	return content, nil
}
