CREATE OR REPLACE FUNCTION was_rotated_into(of_token refresh_token_id, same_successor refresh_token_id) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_refresh_token AS t WHERE t.id = of_token AND t.successor_id = same_successor);
END
$$;

COMMENT ON FUNCTION was_rotated_into(refresh_token_id, refresh_token_id) IS 'Part of RotateRefreshToken: whether a call whose proof is known is the same call again. VOLATILE, so that it sees what was committed while the statement waited for the proof.';
