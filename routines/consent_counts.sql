CREATE OR REPLACE FUNCTION consent_counts(g oauth_consent, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        g.user_epoch = u.grants_epoch
        AND g.pair_epoch = pair_epoch(u.ended_grants, g.client_id, g.reference_id)
        AND u.suspended_at IS NULL
        AND u.deleted_at IS NULL,
        false
    )
$$;

COMMENT ON FUNCTION consent_counts(oauth_consent, "user") IS 'Whether a consent of the user counts: nothing that ends the grants of the pair came after it. Never NULL.';
