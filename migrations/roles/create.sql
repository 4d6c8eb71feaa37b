-- The roles, and where the tables go. Run once for each database, by a role that owns the database and may create roles; to run it
-- again changes nothing. A role that exists is left as it is. The new ones can't log in: grant them to those that do.

BEGIN;

DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[{{.OwnerName}}, {{.ApplicationName}}, {{.CollectorName}}, {{.AuditorName}}, {{.PeerName}}] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I', wanted);
        END IF;
    END LOOP;
    -- Everybody may create temporary tables, and they come first in a search_path that doesn't name pg_temp: one could stand in for a
    -- table of the schema.
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$roles$;

CREATE SCHEMA IF NOT EXISTS {{.Schema}};
REVOKE CREATE ON SCHEMA {{.Schema}} FROM PUBLIC; -- which a database has that was made before PostgreSQL 15
GRANT USAGE, CREATE ON SCHEMA {{.Schema}} TO {{.Owner}};
GRANT USAGE ON SCHEMA {{.Schema}} TO {{.Application}}, {{.Collector}}, {{.Auditor}}, {{.Peer}};

COMMIT;
