-- +goose Up

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION consent_goes_on(g oauth_consent, n oauth_consent) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN g.reference_id IS NOT DISTINCT FROM n.reference_id AND g.user_epoch = n.user_epoch AND g.pair_epoch = n.pair_epoch
    AND g.client_epoch = n.client_epoch;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION consent_holds(g oauth_consent, c oauth_client, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN consent_counts(g, u) AND g.client_epoch = c.consents_epoch;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION consent_holds(oauth_consent, oauth_client, "user") IS 'Whether a consent counts, and its client is still what the user saw. NULL without a consent, its client or its user.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION is_shown(field text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN field = ANY (ARRAY['redirect_uris', 'scopes', 'name', 'uri', 'icon', 'tos', 'policy']);
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION is_shown(text) IS 'Whether users see a column of a client when they are asked for consent.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION stamp_consent() RETURNS trigger
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
DECLARE
    written record := NEW;
BEGIN
    -- STABLE: read as the writing statement sees the user. A fresh read would let a merge that waited for the row carry scopes over a withdrawal.
    SELECT u.grants_epoch, pair_epoch(u.ended_grants, NEW.client_id, NEW.reference_id)
    INTO NEW.user_epoch, NEW.pair_epoch
    FROM "user" AS u
    WHERE u.id = NEW.user_id;
    IF NOT FOUND THEN
        NEW.user_epoch := 0;
        NEW.pair_epoch := 0;
    END IF;
    NEW.client_epoch := coalesce((SELECT c.consents_epoch FROM oauth_client AS c WHERE c.client_id = NEW.client_id), 0);
    -- A server that doesn't write the epochs doesn't know these columns either, and must not revive what has been ended.
    IF TG_OP = 'UPDATE' AND (written.user_epoch, written.pair_epoch, written.client_epoch) <> (NEW.user_epoch, NEW.pair_epoch, NEW.client_epoch) THEN
        NEW.resource_scopes := NULL;
        NEW.authorization_details := NULL;
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION stamp_consent() IS 'Trigger: gives a consent the epochs of its user and client, whichever server writes it. It stops counting when they rise.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION stamp_consent() RETURNS trigger
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
DECLARE
    written record := NEW;
BEGIN
    -- STABLE: read as the writing statement sees the user. A fresh read would let a merge that waited for the row carry scopes over a withdrawal.
    SELECT u.grants_epoch, pair_epoch(u.ended_grants, NEW.client_id, NEW.reference_id)
    INTO NEW.user_epoch, NEW.pair_epoch
    FROM "user" AS u
    WHERE u.id = NEW.user_id;
    IF NOT FOUND THEN
        NEW.user_epoch := 0;
        NEW.pair_epoch := 0;
    END IF;
    -- A server that doesn't write the epochs doesn't know these columns either, and must not revive what has been ended.
    IF TG_OP = 'UPDATE' AND (written.user_epoch, written.pair_epoch) <> (NEW.user_epoch, NEW.pair_epoch) THEN
        NEW.resource_scopes := NULL;
        NEW.authorization_details := NULL;
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION stamp_consent() IS 'Trigger: gives a consent the epochs of its user, whichever server writes it. It stops counting when they rise.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION is_shown;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION consent_holds;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION consent_goes_on(g oauth_consent, n oauth_consent) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN g.reference_id IS NOT DISTINCT FROM n.reference_id AND g.user_epoch = n.user_epoch AND g.pair_epoch = n.pair_epoch;
-- +goose StatementEnd
