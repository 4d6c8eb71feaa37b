#!/bin/sh
# Runs once in a new database, as a superuser: the roles of docs/privileges.md, and those who log in as their members, with the
# passwords that deploy/secrets.sh has made.
set -eu
secrets="${SECRETS:-/run/secrets}"
password() { sed -n 's|^postgres://[^:]*:\([^@]*\)@.*|\1|p' "$secrets/$1"; }

# The passwords are piped in: a command line can be read by all users of a machine.
psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "${POSTGRES_DB:-postgres}" <<SQL
BEGIN;
CREATE ROLE oauthdb_owner;
CREATE ROLE oauthdb_application;
CREATE ROLE oauthdb_collector;
CREATE ROLE oauthdb_auditor;
CREATE ROLE oauthdb_peer;

DO \$\$ BEGIN EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END \$\$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO oauthdb_owner;
GRANT USAGE ON SCHEMA public TO oauthdb_application, oauthdb_collector, oauthdb_auditor, oauthdb_peer;

SET LOCAL password_encryption = 'scram-sha-256';
SET LOCAL log_statement = 'none';
SET LOCAL log_min_error_statement = 'panic';
CREATE ROLE migrator LOGIN PASSWORD '$(password owner_url)' IN ROLE oauthdb_owner;
ALTER ROLE migrator SET role = 'oauthdb_owner'; -- so that the tables belong to the owner
CREATE ROLE auth_server LOGIN PASSWORD '$(password server_url)' IN ROLE oauthdb_application;
CREATE ROLE auth_collector LOGIN PASSWORD '$(password collector_url)' IN ROLE oauthdb_collector;
COMMIT;
SQL
