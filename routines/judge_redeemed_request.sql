CREATE OR REPLACE FUNCTION judge_redeemed_request(
    polled authorization_id, issued_as access_token_id, grace interval, proof_is_fresh boolean,
    OUT verdict outcome, OUT refresh_token token_digest, OUT refresh_token_id refresh_token_id, OUT refresh_token_expires_at timestamptz,
    OUT access_token_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    a     oauth_authorization;
    first refresh_token_id;
    r     oauth_refresh_token;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = polled;
    SELECT p.refresh_token_id INTO first FROM oauth_polled_request AS p WHERE p.id = polled;
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = first FOR KEY SHARE;
    verdict := CASE
        WHEN a.id IS NULL THEN 'unknown'
        WHEN NOT proof_is_fresh AND (a.redeemed_as = issued_as) IS NOT TRUE THEN 'proof_replayed'
        WHEN a.revoked_at IS NOT NULL OR a.redeemed_at IS NULL THEN 'revoked'
        -- collected: if the family goes on, it was used before
        WHEN r.revoked IS NOT NULL
            OR r.id IS NULL AND first IS NOT NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = polled)
        -- the same call again is no other presentation: whoever made it gave it up, and the database got to it later
        THEN CASE WHEN a.redeemed_as = issued_as THEN 'superseded' ELSE 'replayed' END
        WHEN (r.id IS NULL AND first IS NOT NULL) OR r.expires_at <= now() THEN 'expired'
        WHEN a.redeemed_as = issued_as OR (grace > interval '0' AND now() < a.redeemed_at + grace) THEN 'retried'
        ELSE 'replayed'
    END;
    IF verdict = 'retried' THEN
        refresh_token := r.token;
        refresh_token_id := r.id;
        refresh_token_expires_at := r.expires_at;
        -- of an access token without a row; the expiry of another stands in its row
        access_token_expires_at := CASE WHEN a.redeemed_as = issued_as THEN coalesce(r.access_token_expires_at, a.expires_at) END;
    ELSIF verdict = 'replayed' THEN
        UPDATE oauth_authorization AS f
        SET revoked_at = now(), revoked_reason = 'code_replayed', updated_at = now()
        WHERE f.id = polled AND f.revoked_at IS NULL;
    END IF;
END
$$;

COMMENT ON FUNCTION judge_redeemed_request(authorization_id, access_token_id, interval, boolean) IS 'Part of PollDeviceCode: the verdict about a request whose tokens were issued before. While its refresh token is unused, it is retried for a repeated call, or within grace. Once it is used, a repeated call is superseded. Otherwise it is replayed, and the family ends. VOLATILE, so that it sees what was committed while the statement waited for the family.';
