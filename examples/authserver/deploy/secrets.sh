#!/bin/sh
# Makes the secrets that compose.yaml reads, in the folder secrets beside it. What is there stays as it is.
set -eu
folder="${1:-$(dirname "$0")/../secrets}"
mkdir -p "$folder"
cd "$folder"

# Containers read the files as users of their own, so the folder is what keeps others out.
chmod 700 .
put() {
	test -e "$1" || printf '%s\n' "$2" >"$1"
	chmod 644 "$1"
}
random() { head -c "$1" /dev/urandom; }
password() { random 24 | od -An -v -tx1 | tr -d ' \n'; }
put postgres_password "$(password)"
put owner_url "postgres://migrator:$(password)@database:5432/oauthdb"
put server_url "postgres://auth_server:$(password)@database:5432/oauthdb"
put collector_url "postgres://auth_collector:$(password)@database:5432/oauthdb"
put successor_keys "$(random 32 | base64)"
put key_encryption_keys "$(random 32 | base64)"
