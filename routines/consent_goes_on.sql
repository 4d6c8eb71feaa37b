CREATE OR REPLACE FUNCTION consent_goes_on(g oauth_consent, n oauth_consent) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN g.reference_id IS NOT DISTINCT FROM n.reference_id AND g.user_epoch = n.user_epoch AND g.pair_epoch = n.pair_epoch
    AND g.client_epoch = n.client_epoch;

COMMENT ON FUNCTION consent_goes_on(oauth_consent, oauth_consent) IS 'Whether the stored consent g is one of the same tenant as the new one n, and still counts, so that n can be merged into it.';
