CREATE OR REPLACE FUNCTION give_subject(of_sector text, of_user text) RETURNS subject
LANGUAGE sql VOLATILE
RETURN CASE WHEN of_sector IS NULL THEN of_user ELSE (keep_subject(of_sector, of_user, NULL)).held END;

COMMENT ON FUNCTION give_subject(text, text) IS 'The subject (sub) by which a client of a sector knows a user: the id of the user, or a pairwise subject, which is made at its first use. of_sector is sector_of() the client.';
