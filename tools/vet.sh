#!/usr/bin/env bash
# Proves that the rules of sqlc.yaml bite: in a copy of the queries with tools/vet/faults.sql beside them, each fault is
# found by its rule. Run from the repository's root.
set -euo pipefail

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r migrations queries "$copy"
cp tools/vet/faults.sql "$copy/queries/"
# without a database: the rules read the text alone
sed '/^    database:/,/^    [a-z]/{/^    database:/d;/^      /d}; /sqlc\/db-prepare/d' sqlc.yaml >"$copy/sqlc.yaml"

found=$(CGO_ENABLED=0 go tool -modfile=tools/go.mod sqlc vet -f "$copy/sqlc.yaml" 2>&1 || true)
missed=0
while read -r name; do
	rule=$(sed -E 's/(InUpsert|BesideAnother|InCTE)$//; s/([a-z])([A-Z])/\1-\2/g' <<<"$name" | tr '[:upper:]' '[:lower:]')
	if ! grep -q "^faults.sql: $name: $rule: " <<<"$found"; then
		echo "sqlc vet does not find $name by its rule $rule" >&2
		missed=1
	fi
done < <(sed -n 's/^-- name: \([A-Za-z]*\) .*/\1/p' tools/vet/faults.sql)
others=$(grep -v '^faults.sql: ' <<<"$found" || true)
if [ -n "$others" ]; then
	printf 'unexpected:\n%s\n' "$others" >&2
	missed=1
fi
exit $missed
