CREATE OR REPLACE FUNCTION disable_owned_clients(owner text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    owned   text[];
    clients bigint;
BEGIN
    owned := ARRAY(
        SELECT o.id::text
        FROM oauth_client AS o
        WHERE o.user_id = owner
        ORDER BY o.client_id
        FOR NO KEY UPDATE
    );
    -- a statement of its own, which begins with the rows as they were locked
    UPDATE oauth_client AS c
    SET disabled = true, grants_epoch = c.grants_epoch + 1, updated_at = now()
    WHERE c.id = ANY (owned);
    GET DIAGNOSTICS clients = ROW_COUNT;
    RETURN clients;
END
$$;

COMMENT ON FUNCTION disable_owned_clients(text) IS 'Part of DeleteUser, which has locked the user: disables the clients that the user owns and ends what was granted to them. VOLATILE, so that it sees the clients that were stored while the statement waited for the user. Returns how many there are.';
