package importer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// objects reads JSON objects one after the other: of an array, of lines, or of the member items of an object, as lists of Hydra have them.
func objects(r io.Reader) iter.Seq2[map[string]json.RawMessage, error] {
	return func(yield func(map[string]json.RawMessage, error) bool) {
		d := json.NewDecoder(r)
		var stopped bool
		list := func() error {
			for d.More() {
				var o map[string]json.RawMessage
				if err := d.Decode(&o); err != nil {
					return readError(d, err)
				}
				if o == nil {
					return fmt.Errorf("at byte %d: not a JSON object", d.InputOffset())
				}
				if stopped = !yield(o, nil); stopped {
					return nil
				}
			}
			_, err := d.Token() // the end of the list
			return readError(d, err)
		}
		for {
			t, err := d.Token()
			if err == io.EOF {
				return
			}
			switch {
			case err != nil:
				err = readError(d, err)
			case t == json.Delim('['):
				err = list()
			case t == json.Delim('{'):
				o := map[string]json.RawMessage{}
				listed := false
				for err == nil && !stopped && d.More() {
					var name json.Token
					if name, err = d.Token(); err != nil {
						break
					}
					if name == "items" && len(o) == 0 {
						if t, err = d.Token(); err == nil && t != json.Delim('[') {
							err = fmt.Errorf("at byte %d: items is not a list", d.InputOffset())
						}
						if listed = true; err == nil {
							err = list()
						}
						continue
					}
					var value json.RawMessage
					err = d.Decode(&value)
					o[name.(string)] = value
				}
				if err == nil && !stopped {
					_, err = d.Token() // the end of the object
				}
				if err = readError(d, err); err == nil && !stopped && !listed {
					stopped = !yield(o, nil)
				}
			default:
				err = fmt.Errorf("at byte %d: not a JSON object", d.InputOffset())
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if stopped {
				return
			}
		}
	}
}

// readError says where a file is broken, without quoting it.
func readError(d *json.Decoder, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("at byte %d: the file ends within a record", d.InputOffset())
	case errors.As(err, new(*json.SyntaxError)), errors.As(err, new(*json.UnmarshalTypeError)):
		return fmt.Errorf("at byte %d: not a JSON object", d.InputOffset())
	}
	return err
}

// rows reads CSV whose first row names the columns (RFC 4180). What is empty is left out.
func rows(r io.Reader) iter.Seq2[map[string]json.RawMessage, error] {
	return func(yield func(map[string]json.RawMessage, error) bool) {
		c := csv.NewReader(r)
		c.ReuseRecord = true
		var names []string
		for {
			record, err := c.Read()
			if err == io.EOF {
				return
			}
			if wrong := (*csv.ParseError)(nil); errors.As(err, &wrong) {
				err = fmt.Errorf("line %d: %w", wrong.StartLine, wrong.Err)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if names == nil {
				names = slices.Clone(record)
				names[0] = string(bytes.TrimPrefix([]byte(names[0]), []byte("\xef\xbb\xbf"))) // as spreadsheets write it
				continue
			}
			o := make(map[string]json.RawMessage, len(names))
			for i, value := range record {
				if value != "" {
					o[names[i]], _ = json.Marshal(value) // of a text, never fails
				}
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// listed reads the objects of a list that is a member of an object, or of a file that is the list. Other members are passed over, however
// long they are.
func listed(r io.Reader, name string) iter.Seq2[map[string]json.RawMessage, error] {
	return func(yield func(map[string]json.RawMessage, error) bool) {
		d := json.NewDecoder(r)
		list := func() (stopped bool, err error) {
			for d.More() {
				var o map[string]json.RawMessage
				if err := d.Decode(&o); err != nil {
					return false, err
				}
				if !yield(o, nil) {
					return true, nil
				}
			}
			_, err = d.Token()
			return false, err
		}
		read := func() (stopped bool, err error) {
			t, err := d.Token()
			if err != nil {
				return false, err
			}
			if t == json.Delim('[') {
				return list()
			}
			if t != json.Delim('{') {
				return false, fmt.Errorf("at byte %d: neither an object nor a list", d.InputOffset())
			}
			for d.More() {
				member, err := d.Token()
				if err != nil {
					return false, err
				}
				if member != name {
					if err := pass(d); err != nil {
						return false, err
					}
					continue
				}
				if t, err := d.Token(); err != nil {
					return false, err
				} else if t != json.Delim('[') {
					return false, fmt.Errorf("at byte %d: %s is not a list", d.InputOffset(), name)
				}
				if stopped, err := list(); stopped || err != nil {
					return stopped, err
				}
			}
			_, err = d.Token()
			return false, err
		}
		if stopped, err := read(); err != nil && !stopped {
			yield(nil, readError(d, err))
		}
	}
}

// pass reads a value, of which it keeps nothing.
func pass(d *json.Decoder) error {
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
