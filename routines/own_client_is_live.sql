CREATE OR REPLACE FUNCTION own_client_is_live(t oauth_access_token) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM oauth_client AS o
        LEFT JOIN "user" AS u ON u.id = t.user_id
        WHERE o.client_id = t.client_id
          AND NOT o.disabled
          AND o.grants_epoch = t.client_epoch
          AND (t.pair_epoch IS NULL OR t.pair_epoch = pair_epoch(u.ended_grants, t.client_id, t.reference_id))
    );
END
$$;

COMMENT ON FUNCTION own_client_is_live(oauth_access_token) IS 'Part of access_token_is_live, for a token with a client_epoch: a client''s own, or an exchanged one. Whether its client is enabled and the epochs are those of the issue. Not inlined, so that tokens without a client_epoch, which are most, don''t pay for the joins.';
