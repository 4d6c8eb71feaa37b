CREATE OR REPLACE FUNCTION read_again(family authorization_id, of_user user_id, of_session session_id)
RETURNS TABLE (a oauth_authorization, c oauth_client, u "user", s session)
LANGUAGE plpgsql VOLATILE ROWS 1
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN QUERY
    SELECT f, k, o, b
    FROM oauth_authorization AS f
    JOIN oauth_client AS k ON k.client_id = f.client_id
    LEFT JOIN "user" AS o ON o.id = of_user
    LEFT JOIN session AS b ON b.id = of_session AND b.user_id = o.id
    WHERE f.id = family;
END
$$;

COMMENT ON FUNCTION read_again(authorization_id, user_id, session_id) IS 'Part of the calls that lock a request to decide about it: the request, its client, and the user and the session of whoever decides, all as they are at one moment. VOLATILE, so that it sees what was committed while the statement waited for the request; what it knew of the others may have changed since.';
