-- $1 and $2: the sample grows from that many to that many authorizations, and everything else in proportion.
-- One statement for each table; a blank line stands between two statements, and nowhere else.
-- n stands for the row's number. It is never random: r(n, k) walks [0, 1) evenly, in an order of its own for each k.
-- Instants are relative to now(), so that the share of what has expired is the same on every day, and far enough from it that it
-- is the same an hour later.

CREATE OR REPLACE FUNCTION pg_temp.r(n bigint, k integer) RETURNS double precision LANGUAGE sql STABLE AS
$$ SELECT (n * (ARRAY[2654435761, 2246822519, 3266489917, 668265263, 374761393])[k] % 4294967296)::float8 / 4294967296 $$;

CREATE OR REPLACE FUNCTION pg_temp.id(prefix text, n bigint) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT prefix || '_' || lpad(to_hex(n), 12, '0') || lpad(to_hex(n * 2654435761 % 4294967296), 20, '7') $$;

CREATE OR REPLACE FUNCTION pg_temp.digest(of text) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT rtrim(translate(encode(sha256(of::bytea), 'base64'), '+/', '-_'), '=') $$;

CREATE OR REPLACE FUNCTION pg_temp.at(n bigint) RETURNS timestamptz LANGUAGE sql STABLE AS
$$ SELECT now() - interval '720 hours' + n * interval '1 second' $$;

-- One in two hundred is suspended. Some are deleted: few, as the collector erases them.
INSERT INTO "user" (id, created_at, updated_at, name, email, email_verified, image, grants_epoch, sessions_epoch, ended_grants, suspended_at, deleted_at)
SELECT pg_temp.id('usr', n), pg_temp.at(5 * n), pg_temp.at(5 * n), 'User number ' || n,
    CASE WHEN n % 200 <> 10 OR n > 1000 THEN 'user' || n || '@example.com' END, n % 10 <> 0,
    CASE WHEN n % 3 = 0 THEN 'https://images.example/' || n END, 1, 1,
    CASE WHEN n % 10 = 3 THEN '{"client-1": {"": 1}}'::jsonb ELSE '{}' END, CASE WHEN n % 200 = 5 OR (n % 200 = 10 AND n <= 1000) THEN now() END,
    CASE WHEN n % 200 = 10 AND n <= 1000 THEN now() - pg_temp.r(n, 1) * interval '24 hours' END
FROM generate_series($1::bigint / 5 + 1, $2::bigint / 5) AS n;

-- Somebody who has come from another server, and has ended nothing yet.
INSERT INTO "user" (id, name)
SELECT 'usr_newcomer', 'Newcomer'
WHERE $1::bigint = 0 AND $2::bigint > 0;

INSERT INTO account (id, created_at, updated_at, account_id, provider_id, user_id, password, access_token, refresh_token, scope)
SELECT pg_temp.id('acc', 2 * n + k), pg_temp.at(5 * n), pg_temp.at(5 * n),
    CASE k WHEN 0 THEN pg_temp.id('usr', n) ELSE 'subject-' || n END, CASE k WHEN 0 THEN 'credential' ELSE 'google' END,
    pg_temp.id('usr', n), CASE k WHEN 0 THEN '$argon2id$' || pg_temp.digest('password' || n) END,
    CASE k WHEN 1 THEN pg_temp.digest('provider access' || n) END, CASE k WHEN 1 THEN pg_temp.digest('provider refresh' || n) END,
    CASE k WHEN 1 THEN 'openid email' END
FROM generate_series($1::bigint / 5 + 1, $2::bigint / 5) AS n
CROSS JOIN generate_series(0, 1) AS k
WHERE (k = 0 OR n % 4 = 0) AND (n % 200 <> 10 OR n > 1000);

-- A user signs in on one to three devices, some on many more. One in twenty-five was ended by an epoch alone.
INSERT INTO session (id, created_at, updated_at, expires_at, token, ip_address, user_agent, user_id, user_sessions_epoch)
SELECT pg_temp.id('ses', n), pg_temp.at(4 * n), pg_temp.at(4 * n), now() + (pg_temp.r(n, 2) * 720 - 120) * interval '1 hour',
    pg_temp.digest('session' || n), '203.0.113.' || n % 256, 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0',
    pg_temp.id('usr', 1 + floor(power(pg_temp.r(n, 1), 1.2) * ($2::bigint / 5))::bigint), CASE WHEN n % 25 = 7 THEN 0 ELSE 1 END
FROM generate_series($1::bigint / 4 + 1, $2::bigint / 4) AS n;

-- Clients that register by themselves outnumber those that users go to, which are the first hundred. Few are deleted.
INSERT INTO oauth_client (
    id, created_at, updated_at, client_id, client_secret, disabled, skip_consent, enable_end_session, scopes, user_id, name, uri,
    contacts, redirect_uris, token_endpoint_auth_method, grant_types, response_types, public, type, reference_id, metadata,
    registration_access_token, previous_registration_access_token, backchannel_logout_uri, deleted_at, foreign_secret_hash,
    subject_type, sector_identifier
)
SELECT pg_temp.id('cli', n), pg_temp.at(20 * n), pg_temp.at(20 * n), 'client-' || n,
    CASE WHEN n % 3 > 0 THEN pg_temp.digest('client secret' || n) END, n % 50 = 49, n % 20 = 0, n % 2 = 0,
    '{openid,profile,email,offline_access,read,write}',
    CASE WHEN n % 3 = 1 THEN pg_temp.id('usr', 1 + floor(pg_temp.r(n, 1) * ($2::bigint / 20))::bigint) END,
    'Client number ' || n, 'https://client' || n || '.example', ARRAY['admin@client' || n || '.example'],
    ARRAY['https://client' || n || '.example/callback'], CASE WHEN n % 3 > 0 THEN 'client_secret_basic' ELSE 'none' END,
    CASE WHEN n % 5 = 4 THEN '{authorization_code,refresh_token}' ELSE '{authorization_code,refresh_token,client_credentials,urn:ietf:params:oauth:grant-type:device_code,urn:openid:params:grant-type:ciba,urn:ietf:params:oauth:grant-type:token-exchange,urn:ietf:params:oauth:grant-type:jwt-bearer}' END::text[], '{code}', n % 3 = 0, 'web',
    CASE WHEN n % 3 = 2 THEN 'org_' || floor(pg_temp.r(n, 2) * ($2::bigint / 100))::bigint END, '{"tier": "standard"}',
    CASE WHEN n > 100 THEN pg_temp.digest('registration' || n) END,
    CASE WHEN n > 100 AND n % 10 = 3 THEN pg_temp.digest('previous registration' || n) END,
    CASE WHEN n % 2 = 0 THEN 'https://client' || n || '.example/logout' END,
    CASE WHEN n % 100 = 99 AND n < 300 THEN now() - pg_temp.r(n, 3) * interval '24 hours' END,
    CASE WHEN n % 30 = 21 THEN '$2b$12$' || pg_temp.digest('foreign secret' || n) END,
    CASE WHEN n % 20 = 19 THEN 'pairwise' END, CASE WHEN n % 20 = 19 THEN 'client' || n || '.example' END
FROM generate_series($1::bigint / 20 + CASE WHEN $1::bigint > 0 THEN 101 ELSE 1 END, $2::bigint / 20 + 100) AS n;

-- One client in ten of those is known by its metadata document. One document in five has to be fetched again.
UPDATE oauth_client AS c
SET document_uri = c.uri, document_etag = '"1"', document_fetched_at = c.created_at, document_changes = '{}',
    document_fresh_until = now() + (pg_temp.r(substr(c.client_id, 8)::bigint, 5) * 10 - 2) * interval '1 hour', registration_access_token = NULL
WHERE c.client_id ~ '^client-[0-9]*7$' AND c.document_fetched_at IS NULL AND c.registration_access_token IS NOT NULL;

-- An operator hands out an initial access token for each client or so.
INSERT INTO oauth_initial_access_token (id, created_at, updated_at, token, label, max_uses, uses, expires_at)
SELECT pg_temp.id('iat', n), pg_temp.at(20 * n), pg_temp.at(20 * n), pg_temp.digest('initial access token' || n), 'team ' || n, 100,
    floor(pg_temp.r(n, 1) * 90)::bigint, CASE WHEN n % 4 > 0 THEN now() + (pg_temp.r(n, 2) * 720 - 120) * interval '1 hour' END
FROM generate_series($1::bigint / 20 + CASE WHEN $1::bigint > 0 THEN 11 ELSE 1 END, $2::bigint / 20 + 10) AS n;

-- One client in twenty has pairwise subjects; two users in three have been at one of the first four of those.
INSERT INTO oauth_pairwise_subject (id, created_at, updated_at, sector, user_id, subject)
SELECT pg_temp.id('pws', n), pg_temp.at(5 * n), pg_temp.at(5 * n), 'client' || 19 + 20 * (n % 4) || '.example', pg_temp.id('usr', n),
    pg_temp.id('sub', n)
FROM generate_series($1::bigint / 5 + 1, $2::bigint / 5) AS n
WHERE n % 3 > 0;

-- Clients have rotated their secrets, every other one twice.
INSERT INTO oauth_client_secret (id, created_at, updated_at, client_id, digest, expires_at)
SELECT pg_temp.id('sec', 2 * n + k), pg_temp.at(20 * n), pg_temp.at(20 * n), 'client-' || n, pg_temp.digest('older secret' || 2 * n + k),
    now() + (pg_temp.r(2 * n + k, 4) * 48 - 12) * interval '1 hour'
FROM generate_series($1::bigint / 20 + CASE WHEN $1::bigint > 0 THEN 101 ELSE 1 END, $2::bigint / 20 + 100) AS n
CROSS JOIN generate_series(0, 1) AS k
WHERE k = 0 OR n % 2 = 1; -- more than a few pages, which would be read from end to end

-- One in twenty is pending, one denied; the others are approved, and their codes redeemed but for one in ten. One in forty began with
-- another server's token.
INSERT INTO oauth_authorization (
    id, created_at, updated_at, client_id, kind, status, redirect_uri, response_type, scopes, state, nonce, code_challenge,
    code_challenge_method, request, request_uri, request_uri_expires_at, expires_at, user_id, session_id, reference_id, granted_scopes,
    auth_time, acr, amr, decided_at, bound, user_epoch, client_epoch, pair_epoch, code, code_expires_at, redeemed_at, redeemed_as,
    max_expires_at, revoked_at, revoked_reason
)
SELECT pg_temp.id('azn', g.n), pg_temp.at(g.n), pg_temp.at(g.n), 'client-' || g.client,
    CASE WHEN g.status = 'approved' AND NOT g.coded THEN 'foreign' WHEN g.n % 100 IN (52, 60, 65) THEN 'device' ELSE 'code' END::authorization_kind, g.status::authorization_status,
    'https://client' || g.client || '.example/callback', 'code', g.scopes, 'state-' || g.n, 'nonce-' || g.n,
    'challenge-' || g.n, 'S256', '{"prompt": "login"}',
    CASE WHEN g.status = 'pending' AND g.n % 3 = 0 THEN pg_temp.digest('request' || g.n) END,
    CASE WHEN g.status = 'pending' AND g.n % 3 = 0 THEN now() + interval '10 hours' END,
    CASE
        WHEN g.status <> 'approved' THEN now() + (pg_temp.r(g.n, 4) * 20 - 10) * interval '1 hour'
        WHEN g.coded AND NOT g.redeemed THEN now() + interval '10 hours'
    END,
    CASE WHEN g.status <> 'pending' THEN g.user_id END,
    CASE WHEN g.status = 'approved' AND g.n % 7 > 0 THEN g.session_id END,
    CASE WHEN g.n % 4 = 0 THEN 'org_' || g.n % 50 END,
    CASE WHEN g.status = 'approved' THEN g.scopes END, CASE WHEN g.status = 'approved' THEN pg_temp.at(g.n) END,
    CASE WHEN g.status = 'approved' THEN '1' END, CASE WHEN g.status = 'approved' THEN '{pwd,otp}'::text[] END,
    CASE WHEN g.status <> 'pending' THEN pg_temp.at(g.n) END,
    g.status = 'approved' AND g.n % 7 > 0 AND NOT 'offline_access' = ANY (g.scopes),
    CASE WHEN g.status = 'approved' THEN CASE WHEN g.n % 50 = 33 THEN 0 ELSE 1 END END,
    CASE WHEN g.status = 'approved' THEN 0 END, CASE WHEN g.status = 'approved' THEN 0 END,
    CASE WHEN g.coded THEN pg_temp.digest('code' || g.n) END,
    CASE WHEN g.coded THEN CASE WHEN g.redeemed THEN pg_temp.at(g.n) ELSE now() END + interval '10 hours' END,
    CASE WHEN g.redeemed THEN pg_temp.at(g.n) + interval '1 second' END, CASE WHEN g.redeemed THEN pg_temp.id('act', g.n) END,
    CASE WHEN g.redeemed THEN now() + (500 + pg_temp.r(g.n, 4) * 1000) * interval '1 hour' END,
    CASE WHEN g.redeemed AND g.n % 10 = 3 THEN now() - pg_temp.r(g.n, 5) * interval '24 hours' END,
    CASE WHEN g.redeemed AND g.n % 10 = 3 THEN 'authorization_revoked'::revocation_reason END
FROM (
    SELECT n, s.id AS session_id, s.user_id, 1 + floor(power(pg_temp.r(n, 2), 1.5) * 100)::bigint AS client,
        CASE n % 20 WHEN 0 THEN 'pending' WHEN 1 THEN 'denied' ELSE 'approved' END AS status,
        n % 20 > 1 AND n % 40 <> 24 AS coded,
        n % 20 > 1 AND n % 40 <> 24 AND n % 10 <> 2 AS redeemed,
        CASE WHEN n % 2 = 0 THEN '{openid,profile,offline_access}' ELSE '{openid,profile,email}' END::text[] AS scopes
    FROM generate_series($1::bigint + 1, $2::bigint) AS n
    JOIN session AS s ON s.id = pg_temp.id('ses', 1 + floor(pg_temp.r(n, 1) * ($2::bigint / 4))::bigint)
) AS g;

-- Three requests in a hundred are those of devices: one pending, one approved and one whose tokens were issued.
INSERT INTO oauth_polled_request (id, created_at, updated_at, code, user_code, expires_at, poll_interval, polled_at)
SELECT a.id, a.created_at, a.updated_at, pg_temp.digest('device' || n), pg_temp.digest('user' || n), coalesce(a.expires_at, now() - interval '1 hour'),
    interval '5 seconds', a.created_at
FROM generate_series($1::bigint + 1, $2::bigint) AS n
JOIN oauth_authorization AS a ON a.id = pg_temp.id('azn', n)
WHERE a.kind = 'device';

-- Every other family has refresh tokens: a spent one and its successor. One in ten of the spent was spent by another server.
INSERT INTO oauth_refresh_token (
    id, created_at, updated_at, token, client_id, session_id, user_id, reference_id, expires_at, revoked, scopes,
    authorization_id, authorization_code_id, auth_time, successor, successor_id
)
SELECT pg_temp.id('rft', n), pg_temp.at(n), pg_temp.at(n), pg_temp.digest('refresh' || n), a.client_id, a.session_id, a.user_id,
    a.reference_id, CASE WHEN n % 100 NOT IN (49, 50, 51) THEN now() + (pg_temp.r(n, 4) * 1200 - 240) * interval '1 hour' END,
    CASE WHEN n % 2 = 0 THEN now() - interval '1 hour' END, '{openid,profile,offline_access}',
    a.id, a.id, a.auth_time,
    CASE WHEN n % 2 = 0 AND n % 20 <> 6 THEN pg_temp.digest('refresh' || n + 1) END,
    CASE WHEN n % 2 = 0 AND n % 20 <> 6 THEN pg_temp.id('rft', n + 1) END
FROM generate_series($1::bigint + 1, $2::bigint) AS n
JOIN oauth_authorization AS a ON a.id = pg_temp.id('azn', n - n % 2)
WHERE a.redeemed_at IS NOT NULL OR a.kind = 'foreign';

-- One for each family; a client has one for itself where there is none to take.
INSERT INTO oauth_access_token (
    id, created_at, updated_at, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes,
    authorization_id, authorization_code_id, client_epoch, revoked
)
SELECT pg_temp.id('act', n), pg_temp.at(n), pg_temp.at(n), CASE WHEN n % 10 <> 9 THEN pg_temp.digest('access' || n) END, a.client_id,
    CASE WHEN a.status = 'approved' THEN a.session_id END, CASE WHEN a.status = 'approved' THEN a.user_id END, a.reference_id, r.id,
    CASE WHEN n % 100 <> 50 THEN now() + (pg_temp.r(n, 3) * 120 - 60) * interval '1 hour' END, a.scopes,
    CASE WHEN a.status = 'approved' THEN a.id END, CASE WHEN a.status = 'approved' THEN a.id END,
    CASE WHEN a.status <> 'approved' THEN 0 END, CASE WHEN n % 30 = 17 OR n % 500 = 50 THEN now() END
FROM generate_series($1::bigint + 1, $2::bigint) AS n
JOIN oauth_authorization AS a ON a.id = pg_temp.id('azn', n)
LEFT JOIN oauth_refresh_token AS r ON r.id = pg_temp.id('rft', n + 1) AND n % 2 = 0 AND n < $2::bigint
WHERE a.status <> 'approved' OR a.redeemed_at IS NOT NULL OR a.kind = 'foreign';

-- Two or three for each user. One in twenty counts no more.
INSERT INTO oauth_consent (id, created_at, updated_at, client_id, user_id, reference_id, scopes, user_epoch)
SELECT pg_temp.id('cst', n), pg_temp.at(2 * n), pg_temp.at(2 * n), 'client-' || 1 + n * 37 % 100,
    pg_temp.id('usr', 1 + (n - 1) * 2 / 5), CASE WHEN n % 4 = 0 THEN 'org_' || n % 50 END, '{openid,profile}',
    CASE WHEN n % 20 = 9 THEN 0 ELSE 1 END
FROM generate_series($1::bigint / 2 + 1, $2::bigint / 2) AS n;

-- One for each session and client of an authorization, of the new sessions alone. Where the session is over and the client has a logout
-- URI, two in three were told, and one in five of the others is being told.
INSERT INTO session_client (id, created_at, updated_at, session_id, client_id, user_id, sub, sid, due_at, attempts, told_at, lease, lease_expires_at)
SELECT pg_temp.id('scl', k.n), k.at, k.at, k.session_id, k.client_id, k.user_id, k.user_id, k.session_id,
    CASE WHEN k.is_due THEN now() - interval '1 hour' END, CASE WHEN k.is_due THEN k.n % 2 ELSE 0 END,
    CASE WHEN k.is_due AND k.n % 3 < 2 THEN now() END, CASE WHEN k.is_due THEN gen_random_uuid()::text END,
    CASE WHEN k.is_due AND k.n % 15 = 2 THEN now() + interval '1 hour' END
FROM (
    SELECT $1::bigint + row_number() OVER (ORDER BY min(a.id)) AS n, min(a.created_at) AS at, a.session_id, a.client_id, a.user_id,
        bool_or(s.expires_at <= now() AND has_logout_uri(c)) AS is_due
    FROM oauth_authorization AS a
    JOIN session AS s ON s.id = a.session_id
    JOIN oauth_client AS c ON c.client_id = a.client_id
    WHERE a.status = 'approved' AND a.session_id >= pg_temp.id('ses', $1::bigint / 4 + 1) AND $2::bigint > 0
    GROUP BY a.session_id, a.client_id, a.user_id
) AS k;

INSERT INTO oauth_trusted_issuer (id, created_at, updated_at, issuer, jwks_uri, audiences, signing_algorithms, any_client)
SELECT pg_temp.id('iss', n), pg_temp.at(n), pg_temp.at(n),
    CASE n WHEN 1 THEN 'google' ELSE 'https://issuer' || n || '.example' END, 'https://issuer' || n || '.example/keys',
    '{https://server.example}', '{ES256}', true
FROM generate_series($1::bigint / 100 + 1, $2::bigint / 100) AS n;

INSERT INTO oauth_client_assertion (id, created_at, updated_at, expires_at)
SELECT pg_temp.digest('assertion' || n), pg_temp.at(n), pg_temp.at(n), now() + (pg_temp.r(n, 1) * 20 - 10) * interval '1 hour'
FROM generate_series($1::bigint / 2 + 1, $2::bigint / 2) AS n;

INSERT INTO oauth_proof (id, created_at, updated_at, expires_at)
SELECT pg_temp.digest('proof' || n), pg_temp.at(n), pg_temp.at(n), now() + (pg_temp.r(n, 1) * 20 - 10) * interval '1 hour'
FROM generate_series($1::bigint / 2 + 1, $2::bigint / 2) AS n;

INSERT INTO verification (id, created_at, updated_at, identifier, value, expires_at)
SELECT pg_temp.id('ver', n), pg_temp.at(n), pg_temp.at(n), pg_temp.digest('identifier' || n), '{"type": "authorization_code"}',
    now() + (pg_temp.r(n, 1) * 20 - 10) * interval '1 hour'
FROM generate_series($1::bigint / 4 + 1, $2::bigint / 4) AS n;

INSERT INTO device_code (id, created_at, updated_at, device_code, user_code, status, expires_at)
SELECT pg_temp.id('dev', n), pg_temp.at(n), pg_temp.at(n), pg_temp.digest('device' || n), pg_temp.digest('user code' || n), 'pending',
    now() + (pg_temp.r(n, 1) * 20 - 10) * interval '1 hour'
FROM generate_series($1::bigint / 4 + 1, $2::bigint / 4) AS n;

-- Keys are rotated, so there are never more than a few.
INSERT INTO jwks (id, created_at, updated_at, public_key, private_key, alg, crv, expires_at)
SELECT pg_temp.id('jwk', n), pg_temp.at(n), pg_temp.at(n), '{"kty": "EC"}', pg_temp.digest('key' || n), 'ES256', 'P-256',
    CASE WHEN n < 9 THEN now() + (n - 4) * interval '24 hours' END
FROM generate_series(1, 10) AS n
WHERE $1::bigint = 0 AND $2::bigint > 0;

-- A server has a few resources.
INSERT INTO oauth_resource (id, created_at, updated_at, identifier, name)
SELECT pg_temp.id('res', n), pg_temp.at(n), pg_temp.at(n), 'https://api' || n || '.example', 'API number ' || n
FROM generate_series(1, 10) AS n
WHERE $1::bigint = 0 AND $2::bigint > 0;

INSERT INTO oauth_client_resource (id, created_at, updated_at, client_id, resource_id)
SELECT pg_temp.id('clr', n), pg_temp.at(20 * n), pg_temp.at(20 * n), 'client-' || n, 'https://api' || 1 + n % 10 || '.example'
FROM generate_series($1::bigint / 20 + CASE WHEN $1::bigint > 0 THEN 101 ELSE 1 END, $2::bigint / 20 + 100) AS n;

-- One user in four was sent a code, one in eight of them long ago.
INSERT INTO one_time_code (id, created_at, updated_at, purpose, subject, digest, expires_at)
SELECT pg_temp.id('otc', n), now(), now(), 'sign-in', pg_temp.digest('subject' || n), pg_temp.digest('one-time code' || n),
    now() + CASE WHEN n % 8 = 1 THEN interval '-2 hours' ELSE interval '10 hours' END
FROM generate_series($1::bigint / 20 + 1, $2::bigint / 20) AS n;

INSERT INTO attempt_count (id, created_at, updated_at, purpose, subject, attempts, resets_at)
SELECT pg_temp.id('atc', n), now(), now(), 'sign-in', pg_temp.digest('subject' || n), 1 + n % 7,
    now() + CASE WHEN n % 8 = 1 THEN interval '-2 hours' ELSE interval '10 hours' END
FROM generate_series($1::bigint / 20 + 1, $2::bigint / 20) AS n;

-- Every user has second factors, and two recovery codes.
INSERT INTO passkey (id, created_at, updated_at, user_id, name, public_key, sign_count, last_used_at)
SELECT pg_temp.id('pky', n), pg_temp.at(5 * n), pg_temp.at(5 * n), pg_temp.id('usr', n), 'Phone', pg_temp.digest('public key' || n),
    CASE WHEN n % 3 > 0 THEN n % 3 * n % 1000 END, pg_temp.at(5 * n)
FROM generate_series($1::bigint / 5 + 1, $2::bigint / 5) AS n;

INSERT INTO totp (id, created_at, updated_at, user_id, secret, last_step)
SELECT pg_temp.id('otp', n), pg_temp.at(5 * n), pg_temp.at(5 * n), pg_temp.id('usr', n), pg_temp.digest('totp secret' || n), n % 1000
FROM generate_series($1::bigint / 5 + 1, $2::bigint / 5) AS n;

INSERT INTO recovery_code (id, created_at, updated_at, user_id, digest, used_at)
SELECT pg_temp.id('rcv', 2 * n + k), pg_temp.at(5 * n), pg_temp.at(5 * n), pg_temp.id('usr', n), pg_temp.digest('recovery code' || 2 * n + k),
    CASE WHEN k = 1 AND n % 5 = 0 THEN now() END
FROM generate_series($1::bigint / 5 + 1, $2::bigint / 5) AS n
CROSS JOIN generate_series(0, 1) AS k;

INSERT INTO security_event (created_at, updated_at, call, outcome, user_id, client_id)
SELECT pg_temp.at(n), pg_temp.at(n), 'RotateRefreshToken', 'replayed', pg_temp.id('usr', 1 + n / 3 % ($2::bigint / 5)), 'client-' || 1 + n / 3 % 100
FROM generate_series($1::bigint + 1, $2::bigint) AS n
WHERE n % 3 = 0;
