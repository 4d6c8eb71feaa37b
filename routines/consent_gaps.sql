CREATE OR REPLACE FUNCTION consent_gaps(g oauth_consent, asked text[], at_resources text[], OUT scopes text[], OUT resources text[])
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
DECLARE
    agreed   jsonb := agreed_resource_scopes(g);
    resource text;
    gap      text[];
BEGIN
    scopes := '{}';
    resources := '{}';
    IF cardinality(at_resources) > 0 THEN
        FOREACH resource IN ARRAY as_set(at_resources) LOOP
            gap := ARRAY(SELECT a.scope FROM unnest(asked) AS a (scope) WHERE a.scope NOT IN (SELECT jsonb_array_elements_text(agreed -> resource)));
            IF cardinality(gap) > 0 OR (agreed ? resource) IS NOT TRUE THEN
                resources := resources || resource;
                scopes := scopes || gap;
            END IF;
        END LOOP;
    ELSE
        scopes := ARRAY(SELECT a.scope FROM unnest(asked) AS a (scope) WHERE a.scope NOT IN (SELECT unnest(agreed_scopes(g))));
    END IF;
    scopes := ARRAY(SELECT l.value FROM unnest(as_set(asked)) WITH ORDINALITY AS l (value, n) WHERE l.value IN (SELECT unnest(scopes)) ORDER BY l.n);
END
$$;

COMMENT ON FUNCTION consent_gaps(oauth_consent, text[], text[]) IS 'Part of CheckConsent: the scopes that a consent does not cover at one of the resources, or without one, and the resources where something is missing. A resource that the user has never agreed to is missing even if no scope is asked for. Both lists are empty if all is covered. Linear in the pairs that are asked for.';
