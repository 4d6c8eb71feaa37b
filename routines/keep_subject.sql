CREATE OR REPLACE FUNCTION keep_subject(of_sector text, of_user text, wanted subject, OUT held subject, OUT is_new boolean)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT p.subject INTO held FROM oauth_pairwise_subject AS p WHERE p.sector = of_sector AND p.user_id = of_user;
    is_new := false;
    IF NOT FOUND THEN
        INSERT INTO oauth_pairwise_subject (sector, user_id, subject)
        VALUES (of_sector, of_user, coalesce(wanted, gen_random_uuid()::text))
        ON CONFLICT DO NOTHING;
        is_new := FOUND;
        SELECT p.subject INTO held FROM oauth_pairwise_subject AS p WHERE p.sector = of_sector AND p.user_id = of_user;
    END IF;
END
$$;

COMMENT ON FUNCTION keep_subject(text, text, subject) IS 'The pairwise subject of a user in a sector. If there is none, it is made: wanted, or a random one if wanted is NULL. NULL if another user has the one that is wanted. VOLATILE, so that it sees what was committed while it waited.';
