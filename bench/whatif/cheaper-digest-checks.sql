-- A digest's form as a length and a class of characters: go run ./whatif -works redeem,rotate -sql @whatif/cheaper-digest-checks.sql
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT k.conrelid::regclass AS on_table, k.conname AS name, a.attname AS checked
        FROM pg_constraint AS k
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
        WHERE k.contype = 'c' AND k.conname LIKE '%\_is\_digest'
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.on_table, c.name);
        EXECUTE format(
            'ALTER TABLE %s ADD CONSTRAINT %I CHECK (octet_length(%I) = 43 AND %I ~ ''^[A-Za-z0-9_-]*$'')',
            c.on_table, c.name, c.checked, c.checked
        );
    END LOOP;
END
$$;
