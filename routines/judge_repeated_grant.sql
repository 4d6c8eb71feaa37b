CREATE OR REPLACE FUNCTION judge_repeated_grant(
    family authorization_id, of_client client_id, of_user user_id, issued_as access_token_id, issued_with refresh_token_id,
    OUT verdict outcome, OUT access_token_expires_at timestamptz, OUT refresh_token_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    a  oauth_authorization;
    ok boolean;
    row_expires_at timestamptz;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = family;
    IF (a.client_id = of_client AND a.user_id = of_user AND a.redeemed_as = issued_as) IS NOT TRUE THEN
        PERFORM refuse_parameter('ID', 'is that of another grant');
    END IF;
    SELECT is_live(a, c, u, s) INTO ok
    FROM oauth_client AS c
    JOIN "user" AS u ON u.id = of_user
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE c.client_id = of_client;
    verdict := CASE WHEN ok THEN 'retried' ELSE 'revoked' END;
    IF ok THEN
        SELECT r.expires_at, r.access_token_expires_at INTO refresh_token_expires_at, access_token_expires_at
        FROM oauth_refresh_token AS r
        WHERE r.id = issued_with AND r.authorization_id = family;
        SELECT t.expires_at INTO row_expires_at FROM oauth_access_token AS t WHERE t.id = issued_as AND t.authorization_id = family;
        access_token_expires_at := CASE WHEN FOUND THEN row_expires_at ELSE coalesce(access_token_expires_at, a.expires_at) END;
    END IF;
END
$$;

COMMENT ON FUNCTION judge_repeated_grant(authorization_id, client_id, user_id, access_token_id, refresh_token_id) IS 'Part of IssueGrant: the verdict about a grant whose id is taken. It is retried for the same call, and revoked if the grant has been ended since; then nothing more is returned. The id of another grant is an error. VOLATILE, so that it sees what was committed while the statement waited for the id.';
