CREATE OR REPLACE FUNCTION subject_of(c oauth_client, of_client text, of_user text) RETURNS subject
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN c.client_id = of_client AND is_pairwise(c) IS NOT TRUE THEN of_user ELSE known_subject(of_client, of_user) END;

COMMENT ON FUNCTION subject_of(oauth_client, text, text) IS 'The subject (sub) by which a client knows a user; NULL without a user. It writes nothing, so it is NULL for a client with pairwise subjects that has been granted nothing yet. c spares a look-up if it is the client''s row.';
