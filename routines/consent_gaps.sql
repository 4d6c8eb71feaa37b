CREATE OR REPLACE FUNCTION consent_gaps(g oauth_consent, asked text[], at_resources text[], OUT scopes text[], OUT resources text[])
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- Pairs of a resource and a scope. '' is no resource; a NULL scope stands for the resource itself, so that none is covered that the
    -- user was never asked about, even if no scope is asked for.
    WITH pairs AS (
        SELECT r.resource, s.scope
        FROM unnest(CASE WHEN cardinality(at_resources) > 0 THEN at_resources ELSE '{""}' END) AS r (resource)
        CROSS JOIN unnest(asked || NULL::text) AS s (scope)
    ), agreed (resource, scope) AS (
        SELECT '', s.scope
        FROM unnest(agreed_scopes(g) || NULL::text) AS s (scope)
        WHERE g.id IS NOT NULL
        UNION ALL
        SELECT e.key, s.scope
        FROM jsonb_each(agreed_resource_scopes(g)) AS e
        CROSS JOIN LATERAL (SELECT NULL UNION ALL SELECT jsonb_array_elements_text(e.value)) AS s (scope)
    ), gaps AS MATERIALIZED (
        SELECT p.resource, p.scope FROM pairs AS p
        EXCEPT
        SELECT a.resource, a.scope FROM agreed AS a
    )
    SELECT
        ARRAY(SELECT l.value FROM unnest(as_set(asked)) WITH ORDINALITY AS l (value, n) WHERE l.value IN (SELECT p.scope FROM gaps AS p) ORDER BY l.n),
        ARRAY(SELECT l.value FROM unnest(as_set(at_resources)) WITH ORDINALITY AS l (value, n) WHERE l.value IN (SELECT p.resource FROM gaps AS p) ORDER BY l.n)
    INTO scopes, resources;
END
$$;

COMMENT ON FUNCTION consent_gaps(oauth_consent, text[], text[]) IS 'Part of CheckConsent: the scopes that a consent does not cover at one of the resources, or without one, and the resources where something is missing. Both lists are empty if all is covered. Linear in the pairs that are asked for.';
