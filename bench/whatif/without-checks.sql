-- What the CHECK constraints of the three tables of grants, and those of all domains, cost:
-- go run ./whatif -works redeem,rotate -sql @whatif/without-checks.sql
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
    FOR c IN
        SELECT contypid::regtype AS on_domain, conname AS name
        FROM pg_constraint
        WHERE contype = 'c' AND contypid <> 0 AND connamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('ALTER DOMAIN %s DROP CONSTRAINT %I', c.on_domain, c.name);
    END LOOP;
END
$$;
