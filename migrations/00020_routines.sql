-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION has_logout_uri(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(c.backchannel_logout_uri <> '' AND c.deleted_at IS NULL, false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION has_logout_uri(oauth_client) IS 'Whether a client is told of sign-outs (OpenID Connect Back-Channel Logout, section 2.2). A disabled client is, because its own sessions go on; a deleted one is not. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION end_sessions(doomed text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    sessions bigint;
BEGIN
    UPDATE session AS s
    SET ended_at = now(), expires_at = least(s.expires_at, now()), updated_at = now()
    WHERE s.id = ANY (doomed) AND s.ended_at IS NULL;
    GET DIAGNOSTICS sessions = ROW_COUNT;
    UPDATE session_client AS k
    SET due_at = now(), updated_at = now()
    WHERE k.id = ANY (ARRAY(
        SELECT x.id::text
        FROM session_client AS x
        JOIN oauth_client AS c ON c.client_id = x.client_id
        WHERE x.session_id = ANY (doomed) AND x.due_at IS NULL AND has_logout_uri(c)
        FOR NO KEY UPDATE OF x SKIP LOCKED
    ));
    RETURN sessions;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION end_sessions(text[]) IS 'Ends sessions and makes the notification of their clients due, of those that have a logout URI. Returns how many had not been ended before. A row of session_client that another call holds is left to SweepSessionClients.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_logout_lease(delivery text, presented text) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN coalesce(
        (
            SELECT CASE WHEN k.lease = presented THEN 'retried' ELSE 'mismatched' END
            FROM session_client AS k
            WHERE k.id = delivery
        ),
        'unknown'
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_logout_lease(text, text) IS 'Part of FinishLogoutDelivery: why a lease finished nothing. VOLATILE, so that it sees what was committed while the statement waited for the row.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION judge_logout_lease;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION end_sessions(doomed text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    sessions bigint;
BEGIN
    UPDATE session AS s
    SET ended_at = now(), expires_at = least(s.expires_at, now()), updated_at = now()
    WHERE s.id = ANY (doomed) AND s.ended_at IS NULL;
    GET DIAGNOSTICS sessions = ROW_COUNT;
    UPDATE session_client AS k
    SET due_at = now(), updated_at = now()
    WHERE k.id = ANY (ARRAY(
        SELECT x.id::text
        FROM session_client AS x
        WHERE x.session_id = ANY (doomed) AND x.due_at IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ));
    RETURN sessions;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION end_sessions(text[]) IS 'Ends sessions and makes the notification of their clients due. Returns how many had not been ended before. A row of session_client that another call holds is left to SweepSessionClients.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION has_logout_uri;
-- +goose StatementEnd
