#!/usr/bin/env bash
# Expand, then contract: the previous release has to run on the new schema, since the two run side by side while a deployment
# rolls. This runs the tests of the store of the newest release tag (v*) on the migrations of the working tree. Those that describe
# the schema itself rather than use it, in package schema, are left out. Run from the repository's root.
#
# A release's migrations are in databases for good, so each has to be here still, byte for byte: editing one together with its
# line in migrations.sum is refused here. Only while there is no release is there nothing to compare with.
#
# PREVIOUS=REV takes a revision for the release. TESTS='./calls -run ^TestCreateSession' are the arguments of its go test, in
# internal/storetests.
set -euo pipefail

previous=${PREVIOUS:-$(git tag --list 'v[0-9]*' --sort=-version:refname --merged HEAD | head -n 1)}
if [ -z "$previous" ]; then
	echo "previous release: there is none yet, so nothing has to run on the new schema; PREVIOUS=REV takes a revision for it"
	exit 0
fi
if ! git rev-parse -q --verify "$previous^{commit}" >/dev/null; then
	echo "previous release: there is no revision $previous" >&2
	exit 1
fi
released=$(git ls-tree --name-only "$previous" migrations/ | grep '\.sql$' || true)
if [ -z "$released" ]; then
	echo "previous release: $previous has no migrations in migrations/: this script doesn't know how to compare with it" >&2
	exit 1
fi
failed=0
for file in $released; do
	if [ ! -f "$file" ]; then
		echo "previous release: $file is in $previous and gone here: restore it" >&2
		failed=1
	elif ! git cat-file blob "$previous:$file" | cmp -s - "$file"; then
		echo "previous release: $file is another one in $previous: restore it, and write a migration that changes what it made" >&2
		failed=1
	fi
done
[ "$failed" = 0 ] || exit 1
if [ "$(ls migrations/*.sql)" = "$released" ]; then
	echo "previous release: $previous has this very schema"
	exit 0
fi
# The server of the tests here serves those of the release too: one that they started would outlive them.
DATABASE_URL=${DATABASE_URL:-$(go run ./cmd/oauthdb url -cluster test -database postgres)}
export DATABASE_URL
work=$(mktemp -d)
trap 'git worktree remove --force "$work/release" >/dev/null 2>&1; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/release" "$previous"
cp migrations/*.sql "$work/release/migrations/"
echo "previous release: the store of $previous on the migrations of the working tree"
cd "$work/release/internal/storetests"
read -ra tests <<<"${TESTS:-./calls ./race ./model ./crash}"
# A release without such tests would pass whatever the schema is.
listed=$(go test -list '^Test' "${tests[@]}")
if ! grep -q '^Test' <<<"$listed"; then
	echo "previous release: no test of the store in $previous" >&2
	exit 1
fi
go test "${tests[@]}"
