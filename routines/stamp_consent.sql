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

COMMENT ON FUNCTION stamp_consent() IS 'Trigger: gives a consent the epochs of its user and client, whichever server writes it. It stops counting when they rise.';
