CREATE OR REPLACE FUNCTION answer_redeemed_code(
    a oauth_authorization, sector text, new_refresh_id refresh_token_id, new_refresh_token token_digest, new_id access_token_id,
    new_token token_digest, without_row boolean, ends_at timestamptz, access_resources text[], access_details jsonb
) RETURNS token_answer
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r oauth_refresh_token;
    earlier record;
BEGIN
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = new_refresh_id;
    IF r.id IS NOT NULL AND (r.authorization_id <> a.id OR r.token IS DISTINCT FROM new_refresh_token) THEN
        PERFORM refuse_parameter('RefreshTokenID', 'is that of another token');
    END IF;
    IF without_row THEN
        ends_at := coalesce(r.access_token_expires_at, a.expires_at, ends_at);
    END IF;
    -- A repeated call gets what was written before, even if the session was extended or the client changed since.
    earlier := find_issued_access_token(new_id, a.client_id, new_token, NULL, 'AccessTokenID');
    IF earlier.authorization_id <> a.id THEN
        PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
    ELSIF earlier.authorization_id IS NOT NULL THEN
        access_resources := earlier.resources;
        access_details := earlier.authorization_details;
        ends_at := earlier.expires_at;
    END IF;
    RETURN ROW(
        NULL, give_subject(sector, a.user_id), NULL, NULL, access_resources, access_details, r.id, NULL, r.expires_at, ends_at
    )::token_answer;
END
$$;

COMMENT ON FUNCTION answer_redeemed_code(oauth_authorization, text, refresh_token_id, token_digest, access_token_id, token_digest, boolean, timestamptz, text[], jsonb) IS 'Part of RedeemAuthorizationCode: what a repeated call is answered about the tokens that it wrote before. VOLATILE, so that it sees tokens that the same call wrote while this one waited for the family.';
