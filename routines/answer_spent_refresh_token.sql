CREATE OR REPLACE FUNCTION answer_spent_refresh_token(
    spent refresh_token_id, judged outcome, parents text, c oauth_client, grace interval, until_used boolean,
    same_successor refresh_token_id, new_id access_token_id, new_token token_digest, without_row boolean,
    lifetime interval, ends_at timestamptz, proven jsonb, act jsonb, data jsonb,
    access_scopes text[], access_resources text[], access_details jsonb,
    OUT outcome outcome, OUT successor token_digest, OUT successor_id refresh_token_id, OUT refresh_token_expires_at timestamptz,
    OUT access_token_expires_at timestamptz, OUT session_id session_id, OUT sub subject, OUT scopes text[], OUT resources text[],
    OUT authorization_details jsonb
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    j record;
    r oauth_refresh_token;
    earlier record;
BEGIN
    IF spent IS NULL THEN
        RETURN;
    END IF;
    j := judge_spent_refresh_token(spent, same_successor, grace, until_used);
    outcome := CASE WHEN j.verdict = 'retried' AND judged <> 'rotated' THEN judged ELSE j.verdict END;
    IF outcome <> 'retried' THEN
        RETURN;
    END IF;

    successor := j.successor;
    successor_id := j.successor_id;
    refresh_token_expires_at := j.successor_expires_at;
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = spent;
    session_id := CASE WHEN parents = 'locked' THEN r.session_id END;
    sub := give_subject(sector_of(c), r.user_id);
    scopes := access_scopes;
    resources := access_resources;
    authorization_details := access_details;
    IF successor_id = same_successor THEN
        SELECT n.access_token_expires_at INTO access_token_expires_at FROM oauth_refresh_token AS n WHERE n.id = same_successor;
    END IF;
    access_token_expires_at := coalesce(
        access_token_expires_at, least(expiry(j.since, lifetime, c.access_token_lifetime, 'AccessTokenLifetime'), ends_at)
    );
    IF NOT without_row THEN
        -- It refers to the token presented, which is locked; the successor may be gone.
        INSERT INTO oauth_access_token (
            id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
            confirmation, act, authorization_id, authorization_code_id, data, requested_user_info_claims
        )
        VALUES (
            new_id, new_token, r.client_id, session_id, r.user_id, r.reference_id, r.id, access_token_expires_at, scopes, resources,
            authorization_details, proven, act, r.authorization_id, coalesce(r.authorization_code_id, r.authorization_id),
            coalesce(data, r.data), r.requested_user_info_claims
        )
        ON CONFLICT DO NOTHING; -- of id and token: of two same calls at once, either may conflict first
        IF FOUND THEN
            RETURN;
        END IF;
    ELSIF successor_id <> same_successor THEN
        UPDATE oauth_refresh_token AS t
        SET access_token_expires_at = greatest(
                t.access_token_expires_at, expiry_without_row(answer_spent_refresh_token.access_token_expires_at, new_token)
            ),
            updated_at = now()
        WHERE t.id = r.id;
    END IF;

    -- A repeated call gets what was written before, even if the session was extended or the client changed since.
    earlier := find_issued_access_token(new_id, r.client_id, new_token, NULL, 'AccessTokenID');
    IF earlier.authorization_id <> r.authorization_id THEN
        PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
    ELSIF earlier.authorization_id IS NOT NULL THEN
        scopes := earlier.scopes;
        resources := earlier.resources;
        authorization_details := earlier.authorization_details;
        access_token_expires_at := earlier.expires_at;
    END IF;
END
$$;

COMMENT ON FUNCTION answer_spent_refresh_token(refresh_token_id, outcome, text, oauth_client, interval, boolean, refresh_token_id, access_token_id, token_digest, boolean, interval, timestamptz, jsonb, jsonb, jsonb, text[], text[], jsonb) IS 'Part of RotateRefreshToken: the outcome for a spent token, by judge_spent_refresh_token. A retry that is allowed what it asks for gets another access token here, or what the same call got before.';
