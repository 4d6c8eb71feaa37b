#!/usr/bin/env bash
# Whether a change is faster: the benchmarks of bench, of a revision and of the working tree, by turns, and benchstat's table of both.
# Run from the repository's root: tools/bench-compare.sh REV [ROUNDS [BENCHTIME]]
set -euo pipefail

base=${1:?which revision: tools/bench-compare.sh REV [ROUNDS [BENCHTIME]]}
rounds=${2:-8}
time=${3:-500x}
root=$PWD
work=$(mktemp -d)
trap '(cd "$work/base" && go run ./cmd/oauthdb stop -delete) >/dev/null 2>&1; git worktree remove --force "$work/base" >/dev/null 2>&1; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$base"
# Both are built before either is measured.
(cd "$work/base/bench" && go test -c -o "$work/base.test" .)
(cd bench && go test -c -o "$work/head.test" .)
measure() { # in a tree, with a program, to a file
	(cd "$1/bench" && "$2" -test.run '^$' -test.bench . -test.benchtime "$time" -test.timeout 30m) >>"$3" || { tail -20 "$3" >&2; exit 1; }
}
for round in $(seq "$rounds"); do
	echo "round $round of $rounds" >&2
	measure "$work/base" "$work/base.test" "$work/base.txt"
	measure "$root" "$work/head.test" "$work/head.txt"
done
CGO_ENABLED=0 go tool -modfile="$root/tools/go.mod" benchstat "$base=$work/base.txt" "now=$work/head.txt"
