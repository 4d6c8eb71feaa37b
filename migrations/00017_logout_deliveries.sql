-- +goose Up

ALTER TABLE session_client ADD COLUMN abandoned_at timestamptz;

COMMENT ON COLUMN session_client.due_at IS 'When the next attempt to notify the client is due. NULL while the session is live, and once the client was given up on. It is set only for clients that have a logout URI.';
COMMENT ON COLUMN session_client.attempts IS 'Number of attempts to notify the client that have come to a result.';
COMMENT ON COLUMN session_client.lease IS 'Random token of the last claim. Only its holder may finish the delivery.';
COMMENT ON COLUMN session_client.lease_expires_at IS 'When others may claim the delivery. NULL if nobody is at it.';
COMMENT ON COLUMN session_client.abandoned_at IS 'When the last attempt failed that was to be made.';

-- +goose Down

ALTER TABLE session_client DROP COLUMN abandoned_at;

COMMENT ON COLUMN session_client.due_at IS 'When the notification became due; NULL while the session is live.';
COMMENT ON COLUMN session_client.attempts IS 'Number of attempts to notify the client.';
COMMENT ON COLUMN session_client.lease IS 'The worker that is notifying the client.';
COMMENT ON COLUMN session_client.lease_expires_at IS 'When the lease ends.';
