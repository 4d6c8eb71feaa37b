#!/usr/bin/env bash
# Reviews the Up sections of the migrations with squawk, as .squawk.toml says. Run from the repository's root; npm fetches the
# pinned squawk-cli into .devdb, which is ignored.
set -euo pipefail

version=2.66.0
if ! command -v npm >/dev/null; then
	if [ -n "${CI:-}" ]; then
		echo "squawk: npm not found" >&2
		exit 1
	fi
	echo "squawk: npm not found, migrations are not reviewed here (CI does it)" >&2
	exit 0
fi
home=.devdb/squawk-$version
if [ ! -x "$home/node_modules/.bin/squawk" ]; then
	mkdir -p "$home"
	npm install --silent --no-save --no-package-lock --prefix "$home" "squawk-cli@$version" >/dev/null
fi
failed=0
for file in migrations/*.sql; do
	flags=()
	if grep -q '^-- +goose NO TRANSACTION' "$file"; then
		flags=(--no-assume-in-transaction)
	fi
	if ! report=$(sed '/^-- +goose Down/,$d' "$file" |
		"$home/node_modules/.bin/squawk" --config .squawk.toml "${flags[@]}" --stdin-filepath "$file" 2>&1); then
		printf '%s\n' "$report" >&2
		failed=1
	fi
done
[ "$failed" = 0 ] && echo "squawk: the migrations are fit for a busy database"
exit "$failed"
