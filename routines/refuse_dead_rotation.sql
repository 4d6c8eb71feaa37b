CREATE OR REPLACE FUNCTION refuse_dead_rotation() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN is_live(a, c, u, s) AND (OLD.expires_at IS NULL OR OLD.expires_at > now()) THEN NEW END
        FROM oauth_authorization AS a
        JOIN oauth_client AS c ON c.client_id = a.client_id
        JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
        WHERE a.id = NEW.authorization_id
    );
END
$$;

COMMENT ON FUNCTION refuse_dead_rotation() IS 'Trigger: keeps another server from spending a dead refresh token. Its UPDATE finds no row, so it answers invalid_grant.';
