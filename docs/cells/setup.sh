#!/usr/bin/env bash
# Sets up cells on one machine, to see how they fit together: each a primary and its standby under pg_auto_failover, PgBouncer in
# front with a database name for each cell, and the clients of the first cell in all of them. docs/cells.md tells the steps.
#
#   apt install postgresql-15-auto-failover pg-auto-failover-cli pgbouncer
#   sudo -u postgres docs/cells/setup.sh up      # the URLs are in $DIR/urls then
#   sudo -u postgres docs/cells/setup.sh run eu1-0   # a server that was killed, again
#   sudo -u postgres docs/cells/setup.sh down
#
# It is for trying out: with --auth trust, every user of the machine is a superuser of the cells.
#
# With machines of your own, each command runs on the one that it is about: --hostname and --listen are its address, --auth and --ssl-*
# replace --auth trust --no-ssl (https://pg-auto-failover.readthedocs.io), and `pg_autoctl show systemd` prints the unit that takes the
# place of `start`.
set -euo pipefail

DIR=${DIR:-/var/lib/postgresql/cells}
CELLS=${CELLS:-eu1 us1} # the first is where clients are written
PORT=${PORT:-6500}      # of the monitor; PgBouncer has the next one; the servers of the first cell have PORT+10 and PORT+11, and so on
OAUTHDB=${OAUTHDB:-oauthdb}
export DIR CELLS PORT OAUTHDB
page=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/cells.md
read -ra cells <<<"$CELLS"
first=${cells[0]}
# pg_autoctl keeps its state below these.
export HOME=$DIR XDG_CONFIG_HOME=$DIR/config XDG_DATA_HOME=$DIR/share XDG_RUNTIME_DIR=$DIR/run PGCONNECT_TIMEOUT=5

die() { echo "setup.sh: $*" >&2; exit 1; }

# port CELL N is the port of a cell's server, N being 0 or 1.
port() {
	local i
	for i in "${!cells[@]}"; do
		if [ "${cells[i]}" = "$1" ]; then echo $((PORT + 10 * (i + 1) + $2)); fi
	done
}

# servers CELL are the addresses of both servers, of which the first to accept writes is meant.
servers() { echo "host=127.0.0.1,127.0.0.1 port=$(port "$1" 0),$(port "$1" 1) dbname=auth target_session_attrs=read-write"; }

# sql CONNINFO … runs psql with what is on its input.
sql() { local at=$1; shift; psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" "$at"; }
monitor() { sql "host=127.0.0.1 port=$PORT dbname=pg_auto_failover user=autoctl_node"; }

# on CELL … is sql on the cell's primary, as the superuser.
on() { local cell=$1; shift; sql "$(servers "$cell") user=postgres" "$@"; }

# block NAME is the SQL of the page that is marked with the name.
block() { awk -v mark="<!-- run: $1 -->" '$0 == "```" { on = 0 } on { print } /^```sql$/ && last == mark { on = 1 } { last = $0 }' "$page"; }

# start NAME COMMAND … runs a program in the background.
start() {
	local name=$1
	shift
	setsid "$@" >>"$DIR/$name.log" 2>&1 </dev/null &
	echo $! >"$DIR/$name.pid"
}

# until_it WHAT COMMAND … waits until a command succeeds.
until_it() {
	local what=$1 tries
	shift
	for ((tries = 0; tries < 600; tries++)); do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.2
	done
	die "in vain: $what"
}

# 1. The monitor, which decides who is the primary of each cell. A formation of it is a cell.
make_monitor() {
	pg_autoctl create monitor --pgdata "$DIR/monitor" --pgport "$PORT" --hostname 127.0.0.1 --auth trust --no-ssl --pgctl "$pgctl"
	pg_autoctl config set --pgdata "$DIR/monitor" postgresql.listen_addresses 127.0.0.1
	run monitor
	until_it "the monitor runs" monitor <<<"SELECT 1"
	local cell
	for cell in "${cells[@]}"; do
		pg_autoctl create formation --pgdata "$DIR/monitor" --formation "$cell" --kind pgsql --dbname auth --enable-secondary --number-sync-standbys 0
	done
}

# 2. A cell: the primary, then its standby, a copy of it. wal_level is for the subscriptions.
make_server() {
	local cell=$1 n=$2 name=$1-$2
	pg_autoctl create postgres --pgdata "$DIR/$name" --name "$name" --formation "$cell" --dbname auth --pgport "$(port "$cell" "$n")" \
		--hostname 127.0.0.1 --listen 127.0.0.1 --auth trust --no-ssl --pgctl "$pgctl" \
		--monitor "postgres://autoctl_node@127.0.0.1:$PORT/pg_auto_failover"
	if [ "$n" = 0 ]; then echo "wal_level = logical" >>"$DIR/$name/postgresql.conf"; fi # the standby's copy has it
	run "$name"
	until_it "$name runs" sql "host=127.0.0.1 port=$(port "$cell" "$n") dbname=auth user=postgres" -c "SELECT 1"
}
run() { start "$1" pg_autoctl run --pgdata "$DIR/$1"; }
make_cell() {
	make_server "$1" 0
	make_server "$1" 1
	until_it "$1 has a standby" has_standby "$1"
	make_schema "$1"
}
has_standby() { [ "$(on "$1" -c "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')")" = 1 ]; }

# 3. The roles and the schema. Servers log in as auth_server and auth_gc; auth_clients reads what the subscriptions copy.
make_schema() {
	local cell=$1
	"$OAUTHDB" roles -create | on "$cell"
	on "$cell" -v password="$password" <<-'SQL'
		CREATE ROLE auth_migrator LOGIN PASSWORD :'password' IN ROLE oauthdb_owner;
		ALTER ROLE auth_migrator SET role = 'oauthdb_owner';
		CREATE ROLE auth_server LOGIN PASSWORD :'password' IN ROLE oauthdb_application;
		CREATE ROLE auth_gc LOGIN PASSWORD :'password' IN ROLE oauthdb_collector;
		CREATE ROLE auth_clients LOGIN REPLICATION PASSWORD :'password';
		ALTER ROLE auth_server SET statement_timeout = '10s';
		ALTER ROLE auth_server SET lock_timeout = '5s';
		ALTER ROLE auth_server SET idle_in_transaction_session_timeout = '15s';
	SQL
	"$OAUTHDB" migrate -database-url "postgres://auth_migrator:$password@127.0.0.1:$(port "$cell" 0)/auth?sslmode=disable"
	"$OAUTHDB" roles | sql "$(servers "$cell") user=auth_migrator password=$password"
	on "$cell" -c "GRANT SELECT ON oauth_client, oauth_client_secret, jwks, oauth_trusted_issuer TO auth_clients"
}

# 4. Clients and keys: published by the first cell, subscribed by the others. To subscribe again copies all of them again.
publish() { block first | on "$first"; }
subscribe() {
	local cell=$1
	if [ "$(on "$cell" -c "SELECT count(*) FROM pg_subscription WHERE subname = 'clients'")" = 1 ]; then block unsubscribe | on "$cell"; fi
	on "$first" -v slot="clients_$cell" <<<"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = :'slot' AND NOT active"
	{ block others; block subscribe; } | on "$cell" -v slot="clients_$cell" -v first="$(servers "$first") user=auth_clients password=$password"
}

# 5. PgBouncer has a database for each cell: its primary of the moment.
primary() { monitor <<<"SELECT format('host=%s port=%s', primary_host, primary_port) FROM pgautofailover.get_primary('$1')"; }
databases() {
	local cell at
	echo "[databases]"
	for cell in "${cells[@]}"; do
		at=$(primary "$cell" 2>/dev/null) && [ -n "$at" ] || at=$(sed -n "s/^$cell = \(.*\) dbname=auth$/\1/p" "$DIR/databases.ini" 2>/dev/null || true)
		echo "$cell = $at dbname=auth"
	done
}
make_pooler() {
	databases >"$DIR/databases.ini"
	(umask 077 && printf '"%s" "%s"\n' auth_server "$password" auth_gc "$password" >"$DIR/users")
	cat >"$DIR/pgbouncer.ini" <<-INI
		%include $DIR/databases.ini
		[pgbouncer]
		listen_addr = 127.0.0.1
		listen_port = $((PORT + 1))
		unix_socket_dir =
		auth_type = scram-sha-256
		auth_file = $DIR/users
		pool_mode = transaction
		default_pool_size = 20
		server_login_retry = 1
	INI
	start pgbouncer "$pgbouncer" "$DIR/pgbouncer.ini"
}

# 6. After a failover, PgBouncer has to be told, and the slots of the subscriptions are gone with the server that had them. (PostgreSQL 17
# can keep them: failover = true.) Old ones, on a server that is a standby now, would hold its log back. This looks every other second.
watch() {
	local cell n
	while sleep 2 && [ -d "$DIR" ]; do
		databases >"$DIR/databases.new" || continue
		if ! cmp -s "$DIR/databases.new" "$DIR/databases.ini"; then
			cp "$DIR/databases.new" "$DIR/databases.ini"
			kill -HUP "$(cat "$DIR/pgbouncer.pid")" || true
			echo "$(date) $(tail -n +2 "$DIR/databases.ini" | paste -sd ';')"
		fi
		for n in 0 1; do
			sql "host=127.0.0.1 port=$(port "$first" $n) dbname=auth user=postgres" -c "SELECT pg_drop_replication_slot(slot_name)
				FROM pg_replication_slots WHERE slot_type = 'logical' AND NOT active AND pg_is_in_recovery()" 2>/dev/null || true
		done
		for cell in "${cells[@]:1}"; do
			if [ "$(on "$first" -c "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'clients_$cell'" 2>/dev/null || true)" = 0 ]; then
				echo "$(date) $cell subscribes again"
				(subscribe "$cell") || true # the next time, then
			fi
		done
	done
}

up() {
	[ "$(id -u)" != 0 ] || die "PostgreSQL doesn't run as root: sudo -u postgres $0 up"
	local pgctl='' control
	for control in /usr/share/postgresql/*/extension/pgautofailover.control; do
		if [ -e "$control" ]; then pgctl=/usr/lib/postgresql/$(basename "$(dirname "$(dirname "$control")")")/bin/pg_ctl; fi
	done
	[ -x "$pgctl" ] || die "no PostgreSQL has pg_auto_failover: apt install postgresql-15-auto-failover"
	pgbouncer=$(PATH=$PATH:/usr/sbin command -v pgbouncer) || die "there is no PgBouncer: apt install pgbouncer"
	command -v pg_autoctl "$OAUTHDB" >/dev/null || die "pg_autoctl or $OAUTHDB is missing: apt install pg-auto-failover-cli; go install github.com/oauthdb/oauthdb/cmd/oauthdb@latest"
	[ ! -e "$DIR/monitor" ] || die "$DIR has cells already: $0 down"
	export PATH=$(dirname "$pgctl"):$PATH
	mkdir -p "$DIR/run"
	chmod 700 "$DIR"
	password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	(umask 077 && echo "$password" >"$DIR/password")

	make_monitor
	local cell made=()
	for cell in "${cells[@]}"; do # each on its own
		make_cell "$cell" &
		made+=($!)
	done
	for cell in "${made[@]}"; do wait "$cell" || die "a cell could not be made"; done
	publish
	for cell in "${cells[@]:1}"; do subscribe "$cell"; done
	make_pooler
	start watch "$0" watch
	(umask 077 && for cell in "${cells[@]}"; do echo "$cell postgres://auth_server:$password@127.0.0.1:$((PORT + 1))/$cell?sslmode=disable"; done >"$DIR/urls")
	echo "The cells' URLs, for db.Open with PgBouncer: true, are in $DIR/urls."
}

down() {
	local name pids=()
	for name in watch pgbouncer $(for cell in "${cells[@]}"; do echo "$cell-1 $cell-0"; done) monitor; do
		pids+=($(cat "$DIR/$name.pid" 2>/dev/null || true))
	done
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
	for name in "${pids[@]}"; do until_it "process $name ends" eval "! kill -0 $name"; done
	rm -rf "$DIR"
}

case ${1:-} in
up) up ;;
run) run "$2" ;;
watch)
	password=$(cat "$DIR/password")
	watch
	;;
down) down ;;
*) die "up, down, or run SERVER" ;;
esac
