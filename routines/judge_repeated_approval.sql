CREATE OR REPLACE FUNCTION judge_repeated_approval(family authorization_id) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    verdict outcome;
BEGIN
    SELECT CASE WHEN c.disabled THEN 'disabled' WHEN is_ended(a, c, u, s) THEN 'revoked' END::outcome INTO verdict
    FROM oauth_authorization AS a
    JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE a.id = family;
    RETURN verdict;
END
$$;

COMMENT ON FUNCTION judge_repeated_approval(authorization_id) IS 'Part of ApproveAuthorization: what stands against approving a family again, NULL if nothing does. VOLATILE: the statement may have waited for the first approval, whose counters can be newer than those that it has read of the user and the client.';
