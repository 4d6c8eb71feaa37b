CREATE OR REPLACE FUNCTION judge_spent_refresh_token(
    spent refresh_token_id, same_successor refresh_token_id, grace interval, until_used boolean,
    OUT verdict outcome, OUT successor token_digest, OUT successor_id refresh_token_id, OUT successor_expires_at timestamptz,
    OUT since timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r oauth_refresh_token;
    n oauth_refresh_token;
BEGIN
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = spent FOR KEY SHARE;
    SELECT t.* INTO n FROM oauth_refresh_token AS t WHERE t.id = r.successor_id;
    SELECT coalesce(c.refresh_grace, grace), coalesce(c.refresh_grace_until_used, until_used) INTO grace, until_used
    FROM oauth_client AS c
    WHERE c.client_id = r.client_id;
    verdict := CASE
        WHEN r.id IS NULL THEN 'unknown'
        WHEN r.successor_id IS NULL THEN 'replayed'
        -- collected: if the family goes on, it was used before
        WHEN n.revoked IS NOT NULL
            OR n.id IS NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = r.authorization_id AND x.revoked IS NULL)
        -- the same call again is no other presentation: whoever made it gave it up, and the database got to it later
        THEN CASE WHEN r.successor_id = same_successor THEN 'superseded' ELSE 'replayed' END
        WHEN n.id IS NULL OR n.expires_at <= now() THEN 'expired'
        WHEN r.successor_id = same_successor OR until_used OR (grace > interval '0' AND now() < r.revoked + grace) THEN 'retried'
        ELSE 'replayed'
    END;
    IF verdict = 'retried' THEN
        successor := r.successor;
        successor_id := r.successor_id;
        successor_expires_at := n.expires_at;
        since := CASE WHEN r.successor_id = same_successor THEN r.revoked ELSE now() END;
    ELSIF verdict = 'replayed' THEN
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
END
$$;

COMMENT ON FUNCTION judge_spent_refresh_token(refresh_token_id, refresh_token_id, interval, boolean) IS 'Part of RotateRefreshToken: the verdict about a spent token. While its successor is unused, it is retried for a repeated call, within the client''s grace, or at any time if the client has that. Once its successor is used, a repeated call is superseded. Otherwise it is replayed, and the family ends (RFC 9700, section 4.14.2). VOLATILE, so that it sees what was committed while the statement waited for the token.';
