CREATE OR REPLACE FUNCTION answer_redeemed_code(
    a oauth_authorization, sector text, new_refresh_id refresh_token_id, new_refresh_token token_digest, new_id access_token_id,
    new_token token_digest, without_row boolean, ends_at timestamptz, access_resources text[], access_details jsonb,
    OUT sub subject, OUT refresh_token_id refresh_token_id, OUT refresh_token_expires_at timestamptz,
    OUT access_token_expires_at timestamptz, OUT resources text[], OUT authorization_details jsonb
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r oauth_refresh_token;
    earlier record;
BEGIN
    IF a.id IS NULL THEN
        RETURN;
    END IF;
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = new_refresh_id;
    IF r.id IS NOT NULL AND (r.authorization_id <> a.id OR r.token IS DISTINCT FROM new_refresh_token) THEN
        PERFORM refuse_parameter('RefreshTokenID', 'is that of another token');
    END IF;
    sub := give_subject(sector, a.user_id);
    refresh_token_id := r.id;
    refresh_token_expires_at := r.expires_at;
    access_token_expires_at := CASE WHEN without_row THEN coalesce(r.access_token_expires_at, a.expires_at, ends_at) ELSE ends_at END;
    resources := access_resources;
    authorization_details := access_details;
    -- A repeated call gets what was written before, even if the session was extended or the client changed since.
    earlier := find_issued_access_token(new_id, a.client_id, new_token, NULL, 'AccessTokenID');
    IF earlier.authorization_id <> a.id THEN
        PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
    ELSIF earlier.authorization_id IS NOT NULL THEN
        resources := earlier.resources;
        authorization_details := earlier.authorization_details;
        access_token_expires_at := earlier.expires_at;
    END IF;
END
$$;

COMMENT ON FUNCTION answer_redeemed_code(oauth_authorization, text, refresh_token_id, token_digest, access_token_id, token_digest, boolean, timestamptz, text[], jsonb) IS 'Part of RedeemAuthorizationCode: what a repeated call is answered about the tokens that it wrote before. NULLs without a family. VOLATILE, so that it sees tokens that the same call wrote while this one waited for the family.';
