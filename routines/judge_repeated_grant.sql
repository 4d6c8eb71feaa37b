CREATE OR REPLACE FUNCTION judge_repeated_grant(
    family authorization_id, of_client client_id, of_user user_id, of_scopes text[], of_resources text[], of_details jsonb,
    issued_as access_token_id, access_token token_digest, issued_with refresh_token_id, refresh_token token_digest,
    OUT verdict outcome, OUT access_token_expires_at timestamptz, OUT refresh_token_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    a  oauth_authorization;
    ok boolean;
    t  oauth_access_token;
    r  oauth_refresh_token;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = family;
    IF (a.client_id = of_client AND a.user_id = of_user AND a.redeemed_as = issued_as AND a.granted_scopes = of_scopes) IS NOT TRUE
        OR a.resources IS DISTINCT FROM of_resources OR a.authorization_details IS DISTINCT FROM of_details
    THEN
        PERFORM refuse_parameter('ID', 'is that of another grant');
    END IF;
    SELECT x.* INTO r FROM oauth_refresh_token AS x WHERE x.id = issued_with AND x.authorization_id = family;
    SELECT x.* INTO t FROM oauth_access_token AS x WHERE x.id = issued_as AND x.authorization_id = family;
    IF (r.id IS NOT NULL AND r.token IS DISTINCT FROM refresh_token) OR (t.id IS NOT NULL AND t.token IS DISTINCT FROM access_token) THEN
        PERFORM refuse_parameter('ID', 'is that of a grant with other tokens');
    END IF;
    SELECT is_live(a, c, u, s) INTO ok
    FROM oauth_client AS c
    JOIN "user" AS u ON u.id = of_user
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE c.client_id = of_client;
    verdict := CASE WHEN ok THEN 'retried' ELSE 'revoked' END;
    IF ok THEN
        refresh_token_expires_at := r.expires_at;
        -- what isn't known any more has expired
        access_token_expires_at := CASE WHEN t.id IS NOT NULL THEN t.expires_at ELSE coalesce(r.access_token_expires_at, a.expires_at, a.redeemed_at) END;
    END IF;
END
$$;

COMMENT ON FUNCTION judge_repeated_grant(authorization_id, client_id, user_id, text[], text[], jsonb, access_token_id, token_digest, refresh_token_id, token_digest) IS 'Part of IssueGrant: the verdict about a grant whose id is taken. It is retried for the same call, and revoked if the grant has been ended since; then nothing more is returned. The id of another grant, or of one of other scopes, resources or tokens, is an error. VOLATILE, so that it sees what was committed while the statement waited for the id.';
