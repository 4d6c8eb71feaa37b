-- +goose Up

CREATE TRIGGER keep_sector BEFORE INSERT OR UPDATE OF subject_type, sector_identifier ON oauth_client
FOR EACH ROW EXECUTE FUNCTION keep_sector();

-- the trigger gives clients with pairwise subjects their sector
UPDATE oauth_client
SET subject_type = subject_type
WHERE subject_type <> 'public' AND sector_identifier IS NULL;

-- +goose Down

DROP TRIGGER keep_sector ON oauth_client;
