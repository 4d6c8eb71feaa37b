CREATE OR REPLACE FUNCTION resolve_redirect_uri(asked text, registered text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    resolved text := coalesce(asked, CASE WHEN cardinality(as_set(registered)) = 1 THEN (as_set(registered))[1] END);
    loopback text[];
BEGIN
    IF strpos(resolved, '#') > 0 THEN
        RETURN NULL;
    END IF;
    IF resolved = ANY (registered) THEN
        RETURN resolved;
    END IF;
    loopback := regexp_match(resolved, '^(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([1-9][0-9]{0,4}))?((?:[/?].*)?)$');
    IF (loopback[2]::integer <= 65535) IS NOT FALSE AND EXISTS (
        SELECT FROM unnest(registered) AS r (uri)
        WHERE regexp_replace(r.uri, '^(http://(?:127\.0\.0\.1|\[::1\]|localhost)):[0-9]{1,5}(?=[/?]|$)', '\1') = loopback[1] || loopback[3]
    ) THEN
        RETURN resolved;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION resolve_redirect_uri(text, text[]) IS 'The URI that the answer to a request goes to, or NULL if it may go nowhere. It has to be a registered one, byte by byte (RFC 9700, section 2.1), but a loopback address may have any port (RFC 8252, section 7.3). A request may leave it out if exactly one is registered (RFC 6749, section 3.1.2.3). A URI with a fragment is refused (RFC 6749, section 3.1.2).';
