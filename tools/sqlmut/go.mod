module github.com/oauthdb/oauthdb/tools/sqlmut

go 1.26.0

require (
	github.com/jackc/pgx/v5 v5.13.0
	github.com/wasilibs/go-pgquery v0.0.0-20250409022910-10ac41983c07
	go.yaml.in/yaml/v3 v3.0.6
)

require (
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/pganalyze/pg_query_go/v6 v6.1.0 // indirect
	github.com/tetratelabs/wazero v1.9.0 // indirect
	github.com/wasilibs/wazero-helpers v0.0.0-20240620070341-3dff1577cd52 // indirect
	golang.org/x/sys v0.21.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)
