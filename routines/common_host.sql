CREATE OR REPLACE FUNCTION common_host(uris text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    -- Apps of unrelated developers share loopback addresses and private schemes, so these are no hosts.
    hosts text[] := ARRAY(
        SELECT DISTINCT substring(lower(r.uri COLLATE "C") FROM '^https?://(?!localhost[:/?]|localhost$|[^:/?]*\.localhost[:/?]|127\.)([a-z0-9.-]+)(?::[0-9]+)?(?:[/?]|$)')
        FROM unnest(uris) AS r (uri)
    );
BEGIN
    RETURN CASE WHEN cardinality(hosts) = 1 AND octet_length(hosts[1]) <= 255 THEN hosts[1] END;
END
$$;

COMMENT ON FUNCTION common_host(text[]) IS 'The host that all URIs have in common. NULL if they have none, or one that is too long for a name (RFC 1035, section 2.3.4).';
