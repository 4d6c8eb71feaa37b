CREATE OR REPLACE FUNCTION granter_refusal(parents text, u "user", of_session text, s session) RETURNS outcome
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN parents = 'unknown' THEN 'unknown'::outcome
    ELSE coalesce(
        user_refusal(u),
        CASE WHEN of_session IS NOT NULL AND (parents = 'signed_out' OR NOT session_is_live(s, u)) THEN 'signed_out'::outcome END
    )
END;

COMMENT ON FUNCTION granter_refusal(text, "user", text, session) IS 'Why a user may grant nothing, in a session or without one: unknown, suspended or signed_out; NULL if the user may. parents is what lock_parents has answered, s the session if it is one of the user.';
