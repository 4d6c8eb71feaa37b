-- What the CHECK constraints of the three tables of grants cost: go run ./whatif -works redeem,rotate -sql @whatif/without-checks.sql
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT conrelid::regclass AS on_table, conname AS name
        FROM pg_constraint
        WHERE contype = 'c'
          AND conrelid IN ('oauth_authorization'::regclass, 'oauth_refresh_token'::regclass, 'oauth_access_token'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.on_table, c.name);
    END LOOP;
END
$$;
