CREATE OR REPLACE FUNCTION consent_holds(g oauth_consent, c oauth_client, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
-- as one condition, which can't become a hash join's
RETURN coalesce(consent_counts(g, u) AND g.client_epoch = c.consents_epoch, false);

COMMENT ON FUNCTION consent_holds(oauth_consent, oauth_client, "user") IS 'Whether a consent counts, and its client is still what the user saw. Not without a consent, its client or its user.';
