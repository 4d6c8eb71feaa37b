-- +goose Up

-- A client that states about itself what users see of it (PutClientDocument, UpdateRegistration) can change it after they have agreed. The
-- counter rises with such a change, and consents given before it don't count any more.
ALTER TABLE oauth_client ADD COLUMN consents_epoch bigint NOT NULL DEFAULT 0;
ALTER TABLE oauth_consent ADD COLUMN client_epoch bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN oauth_client.consents_epoch IS 'Rises when the client changes what users see of it. Consents given before that don''t count any more.';
COMMENT ON COLUMN oauth_consent.client_epoch IS 'consents_epoch of the client when the user agreed, set by a trigger.';
COMMENT ON TABLE oauth_consent IS 'What a user has agreed to for a client. A user and client have at most one row, so a consent is in one tenant at a time. It counts only while its epochs are the user''s and the client''s (consent_holds).';

-- +goose Down

COMMENT ON TABLE oauth_consent IS 'What a user has agreed to for a client. A user and client have at most one row, so a consent is in one tenant at a time. It counts only while its epochs are the user''s (consent_counts).';
ALTER TABLE oauth_consent DROP COLUMN client_epoch;
ALTER TABLE oauth_client DROP COLUMN consents_epoch;
