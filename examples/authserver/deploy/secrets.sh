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
put postgres_password "$(openssl rand -hex 24)"
put owner_url "postgres://migrator:$(openssl rand -hex 24)@database:5432/oauthdb"
put server_url "postgres://auth_server:$(openssl rand -hex 24)@database:5432/oauthdb"
put collector_url "postgres://auth_collector:$(openssl rand -hex 24)@database:5432/oauthdb"
put successor_keys "$(openssl rand -base64 32)"
put key_encryption_keys "$(openssl rand -base64 32)"
