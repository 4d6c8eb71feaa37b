CREATE OR REPLACE FUNCTION consent_counts(g oauth_consent, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN g.user_epoch = u.grants_epoch
    AND g.pair_epoch = pair_epoch(u.ended_grants, g.client_id, g.reference_id)
    AND u.suspended_at IS NULL
    AND u.deleted_at IS NULL;

COMMENT ON FUNCTION consent_counts(oauth_consent, "user") IS 'Whether a consent counts: the grants of its user to its client have not been ended since, and the user is neither suspended nor deleted. NULL without a consent or a user.';
