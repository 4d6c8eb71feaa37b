CREATE OR REPLACE FUNCTION known_subject(of_client text, of_user text) RETURNS subject
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN sector_of(c) IS NULL THEN of_user ELSE p.subject END
        FROM oauth_client AS c
        LEFT JOIN oauth_pairwise_subject AS p ON p.sector = sector_of(c) AND p.user_id = of_user
        WHERE c.client_id = of_client
    );
END
$$;

COMMENT ON FUNCTION known_subject(text, text) IS 'Part of subject_of, for a client with pairwise subjects, or an exchanged token''s. Not inlined, so that others don''t pay for the joins.';
