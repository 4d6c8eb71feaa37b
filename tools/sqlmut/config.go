package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// config is the project's file, sqlmut.yaml.
type config struct {
	// Queries are the folders in which sqlc writes Go files, Routines those of .sql files that create functions.
	Queries  []string `yaml:"queries"`
	Routines []string `yaml:"routines"`

	// Server prints a URL of a superuser. Schema makes the schema in the empty database that URLVariable names.
	Server      []string `yaml:"server"`
	Schema      []string `yaml:"schema"`
	URLVariable string   `yaml:"url_variable"`

	// TestDatabases matches the names of the databases that tests make, one each. Mutants of routines are put into these alone, and
	// those that a mutant's tests leave behind are dropped.
	TestDatabases string `yaml:"test_databases"`

	// Tests are the packages whose tests are run.
	Tests []testPackage `yaml:"tests"`

	// Equivalents is the list of mutants that nothing can tell from the original.
	Equivalents string `yaml:"equivalents"`

	testDatabases *regexp.Regexp
}

type testPackage struct {
	Dir  string   `yaml:"dir"`  // the folder of the package
	Args []string `yaml:"args"` // for the test binary
	Skip string   `yaml:"skip"` // tests that are not run
	Last bool     `yaml:"last"` // run after all others
}

func readConfig(name string) (config, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return config{}, err
	}
	c := config{URLVariable: "DATABASE_URL"}
	d := yaml.NewDecoder(bytes.NewReader(content))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	if c.TestDatabases != "" {
		if c.testDatabases, err = regexp.Compile(c.TestDatabases); err != nil {
			return c, fmt.Errorf("%s: test_databases: %w", name, err)
		}
	}
	for _, t := range c.Tests {
		if _, err := regexp.Compile(t.Skip); err != nil {
			return c, fmt.Errorf("%s: skip: %w", name, err)
		}
	}
	return c, nil
}
