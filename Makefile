# Whatever one does here often is a target; `make help` lists them. All of them work in a fresh clone, with Go, make and the
# programs of PostgreSQL installed and nothing else set up.
.DEFAULT_GOAL := help

OAUTHDB := go run ./cmd/oauthdb
TOOL    := CGO_ENABLED=0 go tool -modfile=$(CURDIR)/tools/go.mod
SQLC    := $(TOOL) sqlc

# Every module of the repository, and those of them that are more than a list of tools.
MODULES := $(shell find . -name '.?*' -prune -o -name testdata -prune -o -name go.mod -print | sed 's|/go.mod$$||' | sort)
CHECKED := $(filter-out ./tools ./tools/embeddedpg,$(MODULES))
# Those with tests, the one that takes longest first.
TESTED  := ./internal/storetests $(filter-out ./internal/storetests ./tools/%,$(CHECKED))

# $(call in-each,modules,command) runs a command in each of them, and fails if it fails in one.
in-each = @failed=; for module in $(1); do \
		echo "($$module) $(2)"; (cd "$$module" && $(2)) || failed=1; \
	done; test -z "$$failed"

# $(two-at-once) runs $COMMAND in each of the modules with tests, two at a time, as the longest package of one leaves processors to
# another. What is said in a module is printed when all is done there.
two-at-once = @printf '%s\n' $(TESTED) | xargs -P 2 -I {} sh -c 'said=$$(cd "{}" && eval "$$COMMAND" 2>&1); failed=$$?; \
	printf "%s\n" "({}) $$COMMAND" "$$said"; exit $$failed'
test: export COMMAND = go test $(if $(LONG),,-short) -timeout 30m $(TESTFLAGS) ./...
race: export COMMAND = go test -race -timeout 45m $(TESTFLAGS) ./...

##@ See it work

.PHONY: demo run migrate status rollback gc psql start stop
demo: ## follow a grant through its whole life, call by call; make demo KEEP=1 keeps its database
	@$(OAUTHDB) demo $(if $(KEEP),-keep)
migrate: ## apply the migrations that the database lacks, and print how to connect
	@$(OAUTHDB) migrate
status: ## list the migrations and which of them the database has
	@$(OAUTHDB) status
rollback: ## undo the latest migration, or all above a version: make rollback TO=3
	@$(OAUTHDB) rollback $(if $(TO),-to $(TO))
run: ## a provider and a demo client, to click through in a browser
	@url="$$($(OAUTHDB) url -database oauthdb_authserver)" && DATABASE_URL="$$url" go run -C examples/authserver . -demo
gc: ## delete what has expired or was ended
	@$(OAUTHDB) gc
psql: ## open psql on the database
	@$(OAUTHDB) psql
start: ## start the private PostgreSQL; every target that needs it does so too
	@$(OAUTHDB) start
stop: ## stop the private PostgreSQL, and the one of the tests
	@$(OAUTHDB) stop

##@ Work on it

.PHONY: test race betterauth storm crash linear failover rounds schedules locks plans bench bench-quick bench-compare bench-http generate routine sums review check format clean pgbouncer
test: ## run the tests, on the installed PostgreSQL; make test PG=18 on another one; make test LONG=1 for all of each
	$(two-at-once)
race: ## run all tests with the race detector
	$(two-at-once)
.PHONY: test-all sizing
test-all: ## run the tests on each supported version of PostgreSQL, or on some: make test-all VERSIONS="16 17"
	@for version in $(or $(VERSIONS),15 16 17 18); do echo "PostgreSQL $$version"; $(MAKE) --no-print-directory test PG=$$version || exit 1; done
betterauth: ## run a better-auth server on the store's database; make betterauth NEWEST=1 takes what npm has today
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "betterauth: node and npm are needed" >&2; exit 1; }
	$(if $(NEWEST),npm update --prefix internal/storetests/betterauth/testdata/server)
	cd internal/storetests && go test ./betterauth -count=1 -v $(TESTFLAGS)
storm: ## have three servers issue, refresh and end each other's tokens at random: make storm LASTS=10m SEED=7
	cd internal/storm && go test . -run '^TestStorm$$' -count=1 -v -timeout 24h -better-auth -lasts $(or $(LASTS),1m) $(if $(SEED),-seed $(SEED)) $(TESTFLAGS)
.PHONY: clients
clients: ## let client libraries from npm and of Go use the example's provider; make clients NEWEST=1 takes what npm has today
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "clients: node and npm are needed" >&2; exit 1; }
	$(if $(NEWEST),npm update --prefix internal/clienttests/testdata/npm)
	cd internal/clienttests && go test . -count=1 -v $(TESTFLAGS)
.PHONY: hydra
hydra: ## let an Ory Hydra issue refresh tokens, and import its tables; make hydra DUMP=1 keeps them for the tests
	cd bench/http && go test . -run '^TestTheTablesOfHydraAreImported$$' -count=1 -v -hydra $(if $(DUMP),-write-dump) $(TESTFLAGS)
.PHONY: mcp
mcp: ## let an MCP client by its official SDK call a tool; make mcp NEWEST=1 takes what npm has today
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "mcp: node and npm are needed" >&2; exit 1; }
	$(if $(NEWEST),npm update --prefix examples/mcpserver/testdata/client)
	cd examples/mcpserver && go test . -count=1 -v $(TESTFLAGS)
.PHONY: upgrade
upgrade: ## migrate what older releases have written, and measure it: make upgrade SIZE=1000000; WRITE=1 keeps this release's rows
	cd internal/storetests && go test ./upgrade -count=1 -v -timeout 60m -size $(or $(SIZE),100000) $(if $(WRITE),-write -docs) $(TESTFLAGS)
plans: ## explain and measure every query on a million rows, which takes some minutes
	cd internal/plan && go test -run '^TestPlans$$' -count=1 -timeout 60m -size 1000000
bench: ## compare with other ways to do the same and write docs/performance.md, in about 25 minutes
	go run -C bench . -write
	go run -C bench ./endings -write ../docs/performance.md
sizing: ## measure how much the calls write and how large the tables become, and write docs/sizing.md, in seven minutes
	go run -C bench ./sizing -write ../docs/sizing.md $(SIZINGFLAGS)
.PHONY: bench-steady bench-collector bench-size
bench-collector: ## see what collecting at several paces makes of the p99 of introspection, in twelve minutes
	go run -C bench . -only-collector -sizes 100000 -collector-rounds 2 $(BENCHFLAGS)
bench-size: ## compare the p50 of each work with that on 10 thousand access tokens; 100 million take 150 GB: make bench-size SIZE=100000000
	go run -C bench . -sizes 10000,$(or $(SIZE),10000000) -conns 1 -subjects store -delays 0 -settings=false -collector-rounds 0 $(BENCHFLAGS)
bench-steady: ## see whether tables stay as large as they are under steady work, in docs/sizing.md and a plot: make bench-steady LASTS=1h
	go run -C bench ./sizing -calls 0 -lasts 0 -steady $(or $(LASTS),1h) -rate 20 -plot ../docs/performance/steady.svg -write ../docs/sizing.md
bench-quick: ## measure the main calls on little data, for benchstat, in two minutes
	cd bench && go test -run '^$$' -bench . -benchtime 1000x -count $(or $(COUNT),3) -timeout 30m .
bench-compare: ## say whether a change is faster, by benchstat: make bench-compare BASE=HEAD~3
	@test -n "$(BASE)" || { echo "make bench-compare BASE=REV" >&2; exit 1; }
	tools/bench-compare.sh $(BASE) $(COUNT)
bench-http: ## compare authorization servers over HTTP, Ory Hydra among them, and write docs/http.md, in five minutes
	go run -C bench/http . -write $(BENCHFLAGS)
crash: ## kill PostgreSQL twenty times in the middle of grants, and judge what it recovers
	cd internal/storetests && go test ./crash -count=1 -crashes 20 -v
failover: ## kill a primary in the middle of grants, promote its standby, and judge what it has: make failover ROUNDS=10
	cd internal/storetests && go test ./failover -count=1 -timeout 60m -failovers $(or $(ROUNDS),1) -v $(TESTFLAGS)
.PHONY: cells
cells: ## set up two cells by docs/cells/setup.sh, and kill the primary of each
	@command -v pg_autoctl >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
		pgbouncer pg-auto-failover-cli $$(apt-cache search --names-only '^postgresql-[0-9]+-auto-failover$$' | cut -d ' ' -f 1 | tail -n 1); } || \
		{ echo "cells: pg_auto_failover is needed: apt install pg-auto-failover-cli postgresql-15-auto-failover pgbouncer" >&2; exit 1; }
	cd internal/storetests && go test ./cells -run '^TestTheScript' -count=1 -v -back $(TESTFLAGS)
.PHONY: replicas
replicas: ## have a standby that lags answer introspections after revocations: make replicas LAG=5s REVOCATIONS=50
	cd internal/storetests && go test ./replica -count=1 -v -timeout 60m -lag $(or $(LAG),1500ms) -revocations $(or $(REVOCATIONS),20) $(TESTFLAGS)
.PHONY: import-scale
import-scale: ## import a million users, 100,000 clients and refresh tokens, and measure it: make import-scale USERS=1000000 CLIENTS=100000 TOKENS=100000
	cd cmd/oauthdb && go test . -run '^TestImportAtScale$$' -count=1 -v -timeout 60m -import-users $(or $(USERS),1000000) -import-clients $(or $(CLIENTS),100000) \
		-import-tokens $(or $(TOKENS),100000) $(TESTFLAGS)
linear: ## hold histories of concurrent calls to the model: make linear CALLS=1000000
	cd internal/storetests && go test ./linear -count=1 -v -timeout 24h -calls=$(or $(CALLS),100000) -kills 5 -faults $(TESTFLAGS)
rounds: ## let calls race for longer than make test does: make rounds ROUNDS=10000
	cd internal/storetests && go test ./race -count=1 -timeout 24h -rounds=$(or $(ROUNDS),2000) $(TESTFLAGS)
# Schedules and lock tables go by the server processes of their connections, which a pooler changes.
pgbouncer: ## run the contract, the calls and the races through PgBouncer; make pgbouncer MODE=session in another mode
	@command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || { echo "pgbouncer: PgBouncer is not installed: apt install pgbouncer" >&2; exit 1; }
	cd storetest && PGBOUNCER=$(or $(MODE),transaction) go test ./contract -count=1 $(TESTFLAGS)
	cd internal/storetests && PGBOUNCER=$(or $(MODE),transaction) go test ./calls -count=1 -timeout 15m $(TESTFLAGS)
	cd internal/storetests && PGBOUNCER=$(or $(MODE),transaction) go test ./race -skip '^TestSchedules|^TestLocksOf|^TestLockTables' -count=1 -timeout 15m -rounds=$(or $(ROUNDS),10) $(TESTFLAGS)
.PHONY: fuzz
fuzz: ## fuzz all that reads what comes from outside, each target for a while: make fuzz FUZZTIME=2m
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n 1 dirname | sort -u | while read -r dir; do \
		grep -hoE '^func Fuzz[A-Za-z0-9]+' "$$dir"/*_test.go | sed 's/^func //' | while read -r target; do \
			(cd "$$dir" && echo "($$dir) $$target" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),20s) -fuzzminimizetime 10x .) || exit 1; \
		done; \
	done
.PHONY: release check-install
check-install: ## install each module as a release has it, in empty folders
	cd tools/release && go test -count=1 -v $(TESTFLAGS) .
release: ## check everything, then tag each module: make release VERSION=v0.2.0
	@test -n "$(VERSION)" || { echo "make release VERSION=v0.2.0" >&2; exit 1; }
	go run -C tools/release . -version $(VERSION)
	$(MAKE) check check-install test
	go run -C tools/release . -version $(VERSION) -tag
.PHONY: mutate
mutate: ## see which changes of the SQL no test notices: make mutate CALL=RotateRefreshToken, or SINCE=HEAD for what has changed
	go run -C tools/sqlmut . -config $(CURDIR)/sqlmut.yaml $(if $(CALL),-only '$(CALL)') $(if $(SINCE),-since $(SINCE)) \
		$(if $(WRITE),-write $(CURDIR)/docs/mutation.md -hint 'make mutate WRITE=1') $(MUTATEFLAGS)
schedules: ## walk the orders in which two calls can meet at a lock, and a part of those of three
	cd internal/storetests && go test ./race -run '^TestSchedules' -count=1 -timeout 60m -parallel $$((4 * $$(nproc))) -sample 0 -v $(TESTFLAGS)
locks: ## write docs/locks.md: what each call locks, and in which order
	cd internal/storetests && go test ./race -run '^TestLocksOf' -count=1 -write-locks
generate: ## write store/ from migrations/ and queries/, and what is generated from the catalog
	$(SQLC) generate
	go run ./internal/gen
routine: ## write the migration that carries the changed functions of routines/, or one of them: make routine NAME=is_live
	go run ./internal/migration routine $(NAME)
sums: ## add new migrations to migrations/migrations.sum; from then on they never change
	go run ./internal/migration sums
review: ## write for reviewers what each query does and how it is planned: docs/queries/ and docs/schema.md
	go run -C tools/review .
format: ## format the Go code
	$(TOOL) gofumpt -w $(wildcard *.go */)
check: check-format check-go check-modules check-queries check-generated check-migrations check-sqlmut check-release check-mutants ## find what a reviewer shouldn't have to look for
clean: ## stop and delete the private PostgreSQL, with all its databases
	@$(OAUTHDB) stop -delete

.PHONY: check-format check-go check-modules check-queries check-generated check-migrations check-sqlmut check-release check-mutants
check-format:
	@stale="$$($(TOOL) gofumpt -l $(wildcard *.go */))" || exit 1; \
	test -z "$$stale" || { printf 'not formatted (make format):\n%s\n' "$$stale"; exit 1; }
check-go:
	$(call in-each,$(CHECKED),go vet ./...)
	$(call in-each,$(CHECKED),$(TOOL) staticcheck ./...)
check-modules:
	$(call in-each,$(MODULES),go mod tidy -diff)
check-queries: # each query is prepared by the server, too, in a database that sqlc makes from the migrations
	@url="$$($(OAUTHDB) url -cluster test -database postgres)" && echo "$(SQLC) vet" && SQLC_SERVER_URL="$$url" $(SQLC) vet
	tools/vet.sh
check-generated:
	@fresh="$$(mktemp -d)" && trap 'rm -rf "$$fresh"' EXIT && cp -R sqlc.yaml migrations queries "$$fresh" && \
		echo "$(SQLC) generate && go run ./internal/gen -check" && $(SQLC) generate -f "$$fresh/sqlc.yaml" && \
		go run ./internal/gen -check -sqlc "$$fresh/store"
	go run -C tools/review . -check
	cd tools/review && go test ./...
check-migrations:
	go run ./internal/migration check
	tools/squawk.sh
	tools/previous-release.sh
check-sqlmut:
	cd tools/sqlmut && go test ./...
check-release:
	cd tools/release && go test -short .
check-mutants: # what a change of the SQL makes possible and no test notices, as far as two minutes go
	@since="$$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse -q --verify HEAD^ || git rev-parse HEAD)" && \
		$(MAKE) --no-print-directory mutate SINCE="$$since" MUTATEFLAGS="-for 2m -skip-listed -hint 'make mutate SINCE=$$since'"

.PHONY: help
help: ## show this
	@awk -F ':.*## ' '/^##@ / { printf "%s%s:\n\n", sep, substr($$0, 5); sep = "\n" } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
