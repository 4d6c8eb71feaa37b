-- +goose Up

ALTER TABLE oauth_client
    ADD COLUMN document_uri short_text,
    ADD COLUMN document_etag short_text,
    ADD COLUMN document_fetched_at finite_timestamptz,
    ADD COLUMN document_fresh_until finite_timestamptz,
    ADD COLUMN document_changes text_list;

-- No row has a document yet, so the index is built at once.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX oauth_client_document_fresh_until_idx ON oauth_client (document_fresh_until, id) WHERE document_fresh_until IS NOT NULL;

COMMENT ON COLUMN oauth_client.document_uri IS 'Where the client''s metadata document was fetched.';
COMMENT ON COLUMN oauth_client.document_etag IS 'ETag of the document (RFC 9110, section 8.8.3), for a conditional request.';
COMMENT ON COLUMN oauth_client.document_fetched_at IS 'When the document was fetched. NULL for a client that was not registered by a document. An older fetch changes nothing.';
COMMENT ON COLUMN oauth_client.document_fresh_until IS 'Until when the document need not be fetched again.';
COMMENT ON COLUMN oauth_client.document_changes IS 'Columns that the last fetch changed. NULL until the document was fetched a second time.';

-- A client_id may be the URL of a metadata document. An index row holds up to 2,704 bytes. Whatever fitted before fits now.
ALTER DOMAIN stored_client_id DROP CONSTRAINT oauth_client_client_id_is_vschar;
-- squawk-ignore ban-alter-domain-with-add-constraint
ALTER DOMAIN stored_client_id ADD CONSTRAINT oauth_client_client_id_is_vschar CHECK (octet_length(VALUE) <= 2048 AND VALUE ~ '^[\x20-\x7e]+$') NOT VALID;
ALTER DOMAIN stored_client_id VALIDATE CONSTRAINT oauth_client_client_id_is_vschar;
COMMENT ON DOMAIN stored_client_id IS 'A client_id as it is stored: 1 to 2048 printable ASCII characters (RFC 6749, appendix A.1).';

-- +goose Down

ALTER DOMAIN stored_client_id DROP CONSTRAINT oauth_client_client_id_is_vschar;
ALTER DOMAIN stored_client_id ADD CONSTRAINT oauth_client_client_id_is_vschar CHECK (octet_length(VALUE) <= 512 AND VALUE ~ '^[\x20-\x7e]+$');
COMMENT ON DOMAIN stored_client_id IS 'A client_id as it is stored: 1 to 512 printable ASCII characters (RFC 6749, appendix A.1).';

DROP INDEX oauth_client_document_fresh_until_idx;

ALTER TABLE oauth_client
    DROP COLUMN document_changes,
    DROP COLUMN document_fresh_until,
    DROP COLUMN document_fetched_at,
    DROP COLUMN document_etag,
    DROP COLUMN document_uri;
