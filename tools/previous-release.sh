#!/usr/bin/env bash
# Expand, then contract: the previous release has to run on the new schema, since the two run side by side while a deployment
# rolls. This runs the tests of the store of the newest release tag (v*) on the migrations of the working tree. Those that describe
# the schema itself rather than use it, in package schema, are left out. Run from the repository's root.
set -euo pipefail

previous=$(git tag --list 'v[0-9]*' --sort=-version:refname --merged HEAD | head -n 1)
if [ -z "$previous" ]; then
	echo "previous release: there is none yet, so nothing has to run on the new schema"
	exit 0
fi
if git diff --quiet "$previous" -- migrations/*.sql; then
	echo "previous release: $previous has this very schema"
	exit 0
fi
work=$(mktemp -d)
trap 'git worktree remove --force "$work/release" >/dev/null 2>&1; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/release" "$previous"
rm "$work"/release/migrations/*.sql
cp migrations/*.sql "$work/release/migrations/"
echo "previous release: the store of $previous on the migrations of the working tree"
cd "$work/release/internal/storetests"
go test ./calls ./race ./model ./crash
