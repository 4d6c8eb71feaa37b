CREATE OR REPLACE FUNCTION answer_spent_refresh_token(
    spent refresh_token_id, judged outcome, fresh boolean, parents text, c oauth_client, grace interval, until_used boolean,
    same_successor refresh_token_id, new_id access_token_id, new_token token_digest, without_row boolean,
    lifetime interval, ends_at timestamptz, proven jsonb, act jsonb, data jsonb, access token_answer
) RETURNS token_answer
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r oauth_refresh_token;
    n oauth_refresh_token;
    verdict outcome;
    in_session session_id;
    earlier record;
BEGIN
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = spent FOR KEY SHARE;
    SELECT t.* INTO n FROM oauth_refresh_token AS t WHERE t.id = r.successor_id;
    SELECT k.* INTO c FROM oauth_client AS k WHERE k.client_id = r.client_id;
    verdict := CASE
        WHEN NOT fresh THEN 'proof_replayed'
        WHEN r.id IS NULL THEN 'unknown'
        WHEN r.successor_id IS NULL THEN 'replayed'
        -- collected: if the family goes on, it was used before
        WHEN n.revoked IS NOT NULL
            OR n.id IS NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = r.authorization_id AND x.revoked IS NULL)
        -- the same call again is no other presentation: whoever made it gave it up, and the database got to it later
        THEN CASE WHEN r.successor_id = same_successor THEN 'superseded' ELSE 'replayed' END
        WHEN n.id IS NULL OR n.expires_at <= now() THEN 'expired'
        WHEN r.successor_id = same_successor
            OR coalesce(c.refresh_grace_until_used, until_used)
            OR (coalesce(c.refresh_grace, grace) > interval '0' AND now() < r.revoked + coalesce(c.refresh_grace, grace))
        THEN CASE WHEN judged = 'rotated' THEN 'retried' ELSE judged::text END
        ELSE 'replayed'
    END;
    IF verdict = 'replayed' THEN
        UPDATE oauth_authorization AS a
        SET revoked_at = now(), revoked_reason = 'refresh_token_reused', updated_at = now()
        WHERE a.id = r.authorization_id AND a.revoked_at IS NULL;
        -- Another server spent it, so it is not known which tokens descend from it: all grants of the pair end.
        IF r.successor_id IS NULL THEN
            UPDATE "user" AS u
            SET ended_grants = end_pair(u.ended_grants, r.client_id, ''),
                grants_epoch = u.grants_epoch + (end_pair(u.ended_grants, r.client_id, '') = '{}')::integer,
                updated_at = now()
            WHERE u.id = r.user_id;
        END IF;
    END IF;
    IF verdict <> 'retried' THEN
        RETURN ROW(verdict, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::token_answer;
    END IF;

    -- a repeated call's is counted from the rotation, so that it gets the same answer
    ends_at := coalesce(
        CASE WHEN n.id = same_successor THEN n.access_token_expires_at END,
        least(
            expiry(CASE WHEN n.id = same_successor THEN r.revoked ELSE now() END, lifetime, c.access_token_lifetime, 'AccessTokenLifetime'),
            ends_at
        )
    );
    in_session := CASE WHEN parents = 'locked' THEN r.session_id END;
    IF NOT without_row THEN
        -- It refers to the token presented, which is locked; the successor may be gone.
        INSERT INTO oauth_access_token (
            id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
            confirmation, act, authorization_id, authorization_code_id, data, requested_user_info_claims
        )
        VALUES (
            new_id, new_token, r.client_id, in_session, r.user_id, r.reference_id, r.id, ends_at, access.scopes, access.resources,
            access.authorization_details, proven, act, r.authorization_id, coalesce(r.authorization_code_id, r.authorization_id),
            coalesce(data, r.data), r.requested_user_info_claims
        )
        ON CONFLICT DO NOTHING; -- of id and token: of two same calls at once, either may conflict first
    ELSIF n.id <> same_successor THEN
        UPDATE oauth_refresh_token AS t
        SET access_token_expires_at = greatest(t.access_token_expires_at, expiry_without_row(ends_at, new_token)), updated_at = now()
        WHERE t.id = r.id;
    END IF;
    IF without_row OR NOT FOUND THEN
        -- A repeated call gets what was written before, even if the session was extended or the client changed since.
        earlier := find_issued_access_token(new_id, r.client_id, new_token, NULL, 'AccessTokenID');
        IF earlier.authorization_id <> r.authorization_id THEN
            PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
        ELSIF earlier.authorization_id IS NOT NULL THEN
            access := ROW(
                NULL, NULL, NULL, earlier.scopes, earlier.resources, earlier.authorization_details, NULL, NULL, NULL, NULL
            )::token_answer;
            ends_at := earlier.expires_at;
        END IF;
    END IF;
    RETURN ROW(
        verdict, give_subject(sector_of(c), r.user_id), in_session, access.scopes, access.resources, access.authorization_details,
        r.successor_id, r.successor, n.expires_at, ends_at
    )::token_answer;
END
$$;

COMMENT ON FUNCTION answer_spent_refresh_token(refresh_token_id, outcome, boolean, text, oauth_client, interval, boolean, refresh_token_id, access_token_id, token_digest, boolean, interval, timestamptz, jsonb, jsonb, jsonb, token_answer) IS 'Part of RotateRefreshToken: the answer about a token that is spent, with a proof that is fresh. While its successor is unused, a repeated call is retried, and so is any within the client''s grace, or at any time if the client has that; a retry that is allowed what it asks for gets another access token, or what the same call got before. Once the successor is used, a repeated call is superseded. Otherwise the token is replayed, and the family ends (RFC 9700, section 4.14.2). VOLATILE, so that it sees what was committed while the statement waited for the token.';
