CREATE OR REPLACE FUNCTION noted(
    verdict outcome, of_call text, of_user text DEFAULT NULL, of_client text DEFAULT NULL, of_session text DEFAULT NULL,
    of_family text DEFAULT NULL, why text DEFAULT NULL, from_address text DEFAULT NULL
) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF current_setting('oauthdb.events', true) = 'on' AND (
        verdict IN (
            'replayed', 'proof_replayed', 'mismatched', 'suspended', 'exhausted', 'ended', 'withdrawn', 'deleted', 'reinstated',
            'enabled', 'registered'
        )
        OR (verdict = 'rotated' AND of_call = 'RotateClientSecret')
    ) THEN
        INSERT INTO security_event (call, outcome, reason, user_id, client_id, session_id, authorization_id, ip_address)
        VALUES (of_call, verdict, why, of_user, of_client, of_session, of_family, from_address);
    END IF;
    RETURN verdict;
END
$$;

COMMENT ON FUNCTION noted(outcome, text, text, text, text, text, text, text) IS 'Returns the verdict of a call, and writes it to security_event if it matters and the setting oauthdb.events is on.';
