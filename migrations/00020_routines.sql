-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION expiry_without_row(expires_at timestamptz, access_token text) RETURNS timestamptz
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE
        WHEN access_token IS NOT NULL THEN refuse_parameter('AccessToken', 'is set, but the token is to have no row')::timestamptz
        WHEN expires_at IS NULL THEN refuse_parameter('AccessTokenLifetime', 'is without end, but the token is to have no row')::timestamptz
        ELSE expires_at
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION expiry_without_row(timestamptz, text) IS 'The expiry of an access token without a row, to be kept with its refresh token or family. Such a token has to be a JWT, so a digest is an error, and it has to expire.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_redeemed_request(
    polled authorization_id, issued_as access_token_id, grace interval, proof_is_fresh boolean,
    OUT verdict outcome, OUT refresh_token token_digest, OUT refresh_token_id refresh_token_id, OUT refresh_token_expires_at timestamptz,
    OUT since timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    a     oauth_authorization;
    first refresh_token_id;
    r     oauth_refresh_token;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = polled;
    SELECT p.refresh_token_id INTO first FROM oauth_polled_request AS p WHERE p.id = polled;
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = first FOR KEY SHARE;
    verdict := CASE
        WHEN a.id IS NULL THEN 'unknown'
        WHEN NOT proof_is_fresh AND (a.redeemed_as = issued_as) IS NOT TRUE THEN 'proof_replayed'
        WHEN a.revoked_at IS NOT NULL OR a.redeemed_at IS NULL THEN 'revoked'
        WHEN r.revoked IS NOT NULL THEN 'replayed'
        -- collected: if the family goes on, it was used before
        WHEN r.id IS NULL AND first IS NOT NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = polled) THEN 'replayed'
        WHEN (r.id IS NULL AND first IS NOT NULL) OR r.expires_at <= now() THEN 'expired'
        WHEN a.redeemed_as = issued_as OR (grace > interval '0' AND now() < a.redeemed_at + grace) THEN 'retried'
        ELSE 'replayed'
    END;
    IF verdict = 'retried' THEN
        refresh_token := r.token;
        refresh_token_id := r.id;
        refresh_token_expires_at := r.expires_at;
        since := CASE WHEN a.redeemed_as = issued_as THEN a.redeemed_at ELSE now() END;
    ELSIF verdict = 'replayed' THEN
        UPDATE oauth_authorization AS f
        SET revoked_at = now(), revoked_reason = 'code_replayed', updated_at = now()
        WHERE f.id = polled AND f.revoked_at IS NULL;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_redeemed_request(authorization_id, access_token_id, interval, boolean) IS 'Part of PollDeviceCode: the verdict about a request whose tokens were issued before. While its refresh token is unused, it is retried for a repeated call, or within grace. Otherwise it is replayed, and the family ends. VOLATILE, so that it sees what was committed while the statement waited for the family.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_repeated_grant(
    family authorization_id, of_client client_id, of_user user_id, issued_as access_token_id, issued_with refresh_token_id,
    OUT verdict outcome, OUT access_token_expires_at timestamptz, OUT refresh_token_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    a  oauth_authorization;
    ok boolean;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = family;
    IF (a.client_id = of_client AND a.user_id = of_user AND a.redeemed_as = issued_as) IS NOT TRUE THEN
        PERFORM refuse_parameter('ID', 'is that of another grant');
    END IF;
    SELECT is_live(a, c, u, s) INTO ok
    FROM oauth_client AS c
    JOIN "user" AS u ON u.id = of_user
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE c.client_id = of_client;
    verdict := CASE WHEN ok THEN 'retried' ELSE 'revoked' END;
    IF ok THEN
        SELECT t.expires_at INTO access_token_expires_at FROM oauth_access_token AS t WHERE t.id = issued_as AND t.authorization_id = family;
        SELECT r.expires_at INTO refresh_token_expires_at FROM oauth_refresh_token AS r WHERE r.id = issued_with AND r.authorization_id = family;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_repeated_grant(authorization_id, client_id, user_id, access_token_id, refresh_token_id) IS 'Part of IssueGrant: the verdict about a grant whose id is taken. It is retried for the same call, and revoked if the grant has been ended since; then nothing more is returned. The id of another grant is an error. VOLATILE, so that it sees what was committed while the statement waited for the id.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION may_decide(a oauth_authorization, decider text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT a.kind NOT IN ('device', 'ciba') OR coalesce(a.user_id = decider, false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION may_decide(oauth_authorization, text) IS 'Whether a user may decide about a request. The request of a device is that of the user who claimed it with its user code, and one of CIBA that of the user whom the client named. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION slow_down(polled authorization_id) RETURNS interval
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    slower interval;
BEGIN
    -- polled_at stays, else a client that polls a little early would never poll in time
    UPDATE oauth_polled_request AS p
    SET poll_interval = greatest(p.poll_interval, least(p.poll_interval + interval '5 seconds', interval '1 minute', p.expires_at - now())),
        updated_at = now()
    WHERE p.id = polled
    RETURNING p.poll_interval INTO slower;
    RETURN slower;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION slow_down(authorization_id) IS 'Part of PollDeviceCode: adds five seconds to the interval of a request that was polled too early (RFC 8628, section 3.5), but makes it no longer than a minute or than what is left of the code''s life. Returns the interval. VOLATILE, because the statement may have waited for the row.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION slow_down;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION may_decide;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_repeated_grant;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_redeemed_request;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION expiry_without_row;
-- +goose StatementEnd
