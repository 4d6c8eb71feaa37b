CREATE OR REPLACE FUNCTION judge_registration(
    redirect_uris text[], post_logout_redirect_uris text[], grant_types text[], auth_method text, jwks jsonb, jwks_uri text,
    tls_names integer, pages text[]
) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN coalesce(cardinality(redirect_uris), 0) = 0 AND coalesce(grant_types, ARRAY['authorization_code']) && ARRAY['authorization_code', 'implicit']
            OR EXISTS (SELECT FROM unnest(redirect_uris) AS u (uri) WHERE NOT is_redirect_uri(u.uri))
        THEN 'invalid_redirect_uri'
        WHEN jwks IS NOT NULL AND jwks_uri IS NOT NULL
            OR jwks IS NOT NULL AND jsonb_typeof(jwks -> 'keys') IS DISTINCT FROM 'array'
            OR jsonb_path_exists(jwks, 'lax $.keys[*] ? (exists(@.d) || exists(@.k))') -- a private or a symmetric key
            OR CASE auth_method
                WHEN 'none' THEN false
                WHEN 'client_secret_basic' THEN false
                WHEN 'client_secret_post' THEN false
                WHEN 'private_key_jwt' THEN jwks IS NULL AND jwks_uri IS NULL
                WHEN 'self_signed_tls_client_auth' THEN jwks IS NULL AND jwks_uri IS NULL
                WHEN 'tls_client_auth' THEN tls_names <> 1
                ELSE true
            END
            OR EXISTS (
                SELECT FROM unnest(pages || post_logout_redirect_uris) WITH ORDINALITY AS p (uri, n)
                WHERE (octet_length(p.uri) > 4096 OR lower(p.uri COLLATE "C") !~ '^https?://[^/?#@[:space:]]+([/?#][^[:space:]]*)?$')
                  AND NOT (p.n > cardinality(pages) AND is_redirect_uri(p.uri))
            )
        THEN 'invalid_client_metadata'
    END;
END
$$;

COMMENT ON FUNCTION judge_registration(text[], text[], text[], text, jsonb, text, integer, text[]) IS 'Why metadata that a client states about itself is refused (RFC 7591, section 3.2.2): invalid_redirect_uri or invalid_client_metadata. NULL if it is fit. tls_names is how many names of a certificate it has (RFC 8705, section 2.1.2), pages are its other URLs. Whether there is a secret is left to the calls.';
