CREATE OR REPLACE FUNCTION is_redirect_uri(uri text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    SELECT coalesce(
        octet_length(uri) <= 4096
        AND lower(uri COLLATE "C") ~ '^[a-z][a-z0-9+.-]*:[\x21-\x22\x24-\x5b\x5d-\x7e]+$' -- printable ASCII without # and \
        AND CASE substring(lower(uri COLLATE "C") FROM '^[^:]*')
            WHEN 'https' THEN lower(uri COLLATE "C") ~ '^https://[^/?@]+([/?]|$)'
            WHEN 'http' THEN lower(uri COLLATE "C") ~ '^http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?([/?]|$)'
            WHEN 'javascript' THEN false
            WHEN 'vbscript' THEN false
            WHEN 'data' THEN false
            WHEN 'blob' THEN false
            WHEN 'file' THEN false
            WHEN 'about' THEN false
            ELSE true
        END,
        false
    )
$$;

COMMENT ON FUNCTION is_redirect_uri(text) IS 'Whether a client may register a redirect URI for itself (RFC 7591, section 5): https, http at a loopback address, or a scheme of an application. It is absolute and has no fragment (RFC 6749, section 3.1.2) and no userinfo. Never NULL.';
