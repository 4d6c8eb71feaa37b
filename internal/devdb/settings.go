package devdb

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// setting is one line of PostgreSQL's configuration.
type setting struct{ name, value string }

// common holds for every cluster: reachable from this machine alone, over TCP, with a
// password.
var common = []setting{
	{"listen_addresses", "127.0.0.1"},
	{"unix_socket_directories", ""},
	{"password_encryption", "scram-sha-256"},
	{"max_connections", "300"},
	{"log_timezone", "UTC"},
	{"log_line_prefix", "%m [%p] %d %a "},
	{"lc_messages", "C"},
}

// settingsOf returns the configuration of a cluster, later lines winning.
func settingsOf(kind Kind, major int) []setting {
	switch kind {
	case Dev:
		return append(common[:len(common):len(common)], setting{"timezone", "UTC"})
	case Bench:
		return append(common[:len(common):len(common)],
			setting{"timezone", "UTC"},
			setting{"shared_preload_libraries", "pg_stat_statements"},
			setting{"pg_stat_statements.track_utility", "on"},
			setting{"shared_buffers", strconv.Itoa(benchBuffers()) + "MB"},
			setting{"maintenance_work_mem", "512MB"},
			setting{"work_mem", "64MB"},
			setting{"random_page_cost", "1.1"},
			// A checkpoint or a vacuum in one measurement and not in the next would be measured instead: whoever measures
			// asks for them.
			setting{"max_wal_size", "32GB"},
			setting{"checkpoint_timeout", "1d"},
			setting{"autovacuum", "off"},
			setting{"jit", "off"},
		)
	}
	s := append(common[:len(common):len(common)],
		setting{"fsync", "off"},
		setting{"synchronous_commit", "off"},
		setting{"full_page_writes", "off"},
		setting{"shared_buffers", "128MB"},
		setting{"max_wal_size", "512MB"},
		setting{"checkpoint_timeout", "30min"},
		setting{"log_checkpoints", "off"}, // there is one for each database dropped
		setting{"jit", "off"},
		// No whole hour from UTC, so that whoever forgets the zone sees it.
		setting{"timezone", "Asia/Kathmandu"},
	)
	if major >= 16 {
		// Iterations protect passwords that can be guessed; these are random, and tests connect
		// all the time.
		s = append(s, setting{"scram_iterations", "1"})
	}
	return s
}

// render writes settings as a configuration file.
func render(settings []setting) []byte {
	var b strings.Builder
	b.WriteString("# Written by devdb at every start: changes are lost.\n")
	for _, s := range settings {
		b.WriteString(s.name + " = '" + strings.ReplaceAll(s.value, "'", "''") + "'\n")
	}
	return []byte(b.String())
}

// benchBuffers is the shared memory of a Bench cluster in MiB: half of the machine's, so that what is measured comes from
// memory, or 1 GiB where that can't be told.
func benchBuffers() int {
	const fallback = 1024
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fallback
	}
	var kib int
	if _, err := fmt.Sscanf(string(info), "MemTotal: %d kB", &kib); err != nil {
		return fallback
	}
	return max(fallback, kib/1024/2)
}
