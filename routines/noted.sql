CREATE OR REPLACE FUNCTION noted(
    verdict outcome, of_call text, of_user text DEFAULT NULL, of_client text DEFAULT NULL, of_session text DEFAULT NULL,
    of_family text DEFAULT NULL, of_item text DEFAULT NULL, why text DEFAULT NULL, from_address text DEFAULT NULL
) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF current_setting('oauthdb.events', true) = 'on' AND (
        verdict IN (
            'replayed', 'proof_replayed', 'mismatched', 'regressed', 'suspended', 'ended', 'withdrawn', 'deleted', 'reinstated', 'enabled',
            'registered', 'spent', 'updated', 'replaced'
        )
        OR (verdict = 'rotated' AND of_call = 'RotateClientSecret')
        OR (verdict = 'created' AND of_call IN ('CreatePasskey', 'CreateTOTP'))
        OR (verdict = 'accepted' AND of_call = 'UseRecoveryCode')
    )
    -- Not what anybody can repeat without a credential: polling for a device that no user has to do with, guessing at a code.
    AND NOT (of_call = 'PollDeviceCode' AND of_user IS NULL)
    AND NOT (of_call = 'UseTOTP' AND verdict <> 'spent') THEN
        INSERT INTO security_event (call, outcome, reason, user_id, client_id, session_id, authorization_id, item_id, ip_address)
        -- An address may be what a request's header says, and a client_id what a form says. Neither may make the call fail, so the one is cut,
        -- and the other left out if no client can have it, as it wouldn't fit the index.
        VALUES (
            of_call, verdict, why, of_user, CASE WHEN octet_length(of_client) <= 2048 THEN of_client END, of_session, of_family, of_item,
            left(from_address, 255)
        );
    END IF;
    RETURN verdict;
END
$$;

COMMENT ON FUNCTION noted(outcome, text, text, text, text, text, text, text, text) IS 'Returns the verdict of a call, and writes it to security_event if it matters and the setting oauthdb.events is on.';
