-- Tables of better-auth's own migrations, and what its server wrote into them; written by go test ./betterauth -run TestImport -write-dump.
CREATE SCHEMA theirs;
CREATE TABLE theirs.account (
    id text NOT NULL,
    "accountId" text NOT NULL,
    "providerId" text NOT NULL,
    "userId" text NOT NULL,
    "accessToken" text,
    "refreshToken" text,
    "idToken" text,
    "accessTokenExpiresAt" timestamp with time zone,
    "refreshTokenExpiresAt" timestamp with time zone,
    scope text,
    password text,
    "createdAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    "updatedAt" timestamp with time zone NOT NULL
);
CREATE TABLE theirs."deviceCode" (
    id text NOT NULL,
    "deviceCode" text NOT NULL,
    "userCode" text NOT NULL,
    "userId" text,
    "expiresAt" timestamp with time zone NOT NULL,
    status text NOT NULL,
    "lastPolledAt" timestamp with time zone,
    "pollingInterval" integer,
    "clientId" text,
    scope text,
    resources jsonb,
    "oauthClientId" text
);
CREATE TABLE theirs.jwks (
    id text NOT NULL,
    "publicKey" text NOT NULL,
    "privateKey" text NOT NULL,
    "createdAt" timestamp with time zone NOT NULL,
    "expiresAt" timestamp with time zone,
    alg text,
    crv text
);
CREATE TABLE theirs."oauthAccessToken" (
    id text NOT NULL,
    token text NOT NULL,
    "clientId" text NOT NULL,
    "sessionId" text,
    "userId" text,
    "referenceId" text,
    "authorizationCodeId" text,
    resources jsonb,
    "requestedUserInfoClaims" jsonb,
    "refreshId" text,
    "expiresAt" timestamp with time zone NOT NULL,
    "createdAt" timestamp with time zone NOT NULL,
    revoked timestamp with time zone,
    confirmation jsonb,
    scopes jsonb NOT NULL
);
CREATE TABLE theirs."oauthClient" (
    id text NOT NULL,
    "clientId" text NOT NULL,
    "clientSecret" text,
    "clientDiscoveryId" text,
    disabled boolean,
    "skipConsent" boolean,
    "enableEndSession" boolean,
    "subjectType" text,
    scopes jsonb,
    "clientCredentialsScopes" jsonb,
    "userId" text,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    name text,
    uri text,
    icon text,
    contacts jsonb,
    tos text,
    policy text,
    "softwareId" text,
    "softwareVersion" text,
    "softwareStatement" text,
    "redirectUris" jsonb NOT NULL,
    "postLogoutRedirectUris" jsonb,
    "backchannelLogoutUri" text,
    "backchannelLogoutSessionRequired" boolean,
    "tokenEndpointAuthMethod" text,
    "applicationType" text,
    jwks text,
    "jwksUri" text,
    "grantTypes" jsonb,
    "responseTypes" jsonb,
    "requirePKCE" boolean,
    "dpopBoundAccessTokens" boolean,
    "referenceId" text,
    metadata jsonb
);
CREATE TABLE theirs."oauthClientAssertion" (
    id text NOT NULL,
    "expiresAt" timestamp with time zone NOT NULL
);
CREATE TABLE theirs."oauthClientResource" (
    id text NOT NULL,
    "clientId" text NOT NULL,
    "resourceId" text NOT NULL,
    metadata jsonb,
    "createdAt" timestamp with time zone
);
CREATE TABLE theirs."oauthConsent" (
    id text NOT NULL,
    "clientId" text NOT NULL,
    "userId" text,
    "referenceId" text,
    resources jsonb,
    "requestedUserInfoClaims" jsonb,
    scopes jsonb NOT NULL,
    "createdAt" timestamp with time zone NOT NULL,
    "updatedAt" timestamp with time zone NOT NULL
);
CREATE TABLE theirs."oauthRefreshToken" (
    id text NOT NULL,
    token text NOT NULL,
    "clientId" text NOT NULL,
    "sessionId" text,
    "userId" text NOT NULL,
    "referenceId" text,
    "authorizationCodeId" text,
    resources jsonb,
    "requestedUserInfoClaims" jsonb,
    "expiresAt" timestamp with time zone NOT NULL,
    "createdAt" timestamp with time zone NOT NULL,
    revoked timestamp with time zone,
    "rotatedAt" timestamp with time zone,
    "rotationReplayResponse" text,
    "rotationReplayExpiresAt" timestamp with time zone,
    "authTime" timestamp with time zone,
    confirmation jsonb,
    scopes jsonb NOT NULL
);
CREATE TABLE theirs."oauthResource" (
    id text NOT NULL,
    identifier text NOT NULL,
    name text NOT NULL,
    "accessTokenTtl" integer,
    "refreshTokenTtl" integer,
    "signingAlgorithm" text,
    "signingKeyId" text,
    "allowedScopes" jsonb,
    "customClaims" jsonb,
    "dpopBoundAccessTokensRequired" boolean,
    disabled boolean,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    "policyVersion" integer,
    metadata jsonb
);
CREATE TABLE theirs.presented (
    name text,
    value text
);
CREATE TABLE theirs.session (
    id text NOT NULL,
    "expiresAt" timestamp with time zone NOT NULL,
    token text NOT NULL,
    "createdAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    "updatedAt" timestamp with time zone NOT NULL,
    "ipAddress" text,
    "userAgent" text,
    "userId" text NOT NULL
);
CREATE TABLE theirs."user" (
    id text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    "emailVerified" boolean NOT NULL,
    image text,
    "createdAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    "updatedAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL
);
INSERT INTO theirs.account VALUES ('1b9yNeHuyoHozteso06726NrUEWJ0dQP', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', 'credential', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', NULL, NULL, NULL, NULL, NULL, NULL, 'd8ba9f3787d1cc8f73f2a599b676a5bf:a123b91a1095ba79a198d2201bb9c9340d08638db6d8d755dce955062bce84e34e71eb3a426eb5199e8b843ae642d5662413d4ea5a562b1c7f1c26edbe28cb54', '2026-11-30 05:43:09.207+05:45', '2026-11-30 05:43:09.207+05:45');
INSERT INTO theirs.account VALUES ('6AKpcoGvDg4oXzUZlDpO9I9pMRNHp3UI', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg', 'credential', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg', NULL, NULL, NULL, NULL, NULL, NULL, '5ebe8bcd2eca1448864593341893be84:fbd3b40c965f62fb654f1a328a584005046f2d2d38fc778576782571c6cfaafee5785638b7fc8492584ac2b4cc966165af7f326e2dd6e0e59a6b74ac20966ae7', '2026-11-30 05:43:09.819+05:45', '2026-11-30 05:43:09.819+05:45');
INSERT INTO theirs.account VALUES ('github', '4711', 'github', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 05:43:11.890877+05:45', '2026-11-30 05:43:11.890877+05:45');
INSERT INTO theirs."oauthAccessToken" VALUES ('4u1IEbrNhxuXQVtq400luKvKqiBBbjuZ', 'YoQWGd50yKzEj-P07HWeAKES9nQiXBCT39_Xh5M6Cy8', 'SmsBQllIKceUndyrpoOwAvBmTBvMFzDC', 'GaVjqwQPbTjswlsbEnFbMYJKWF85FfjB', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', NULL, '1hyqroqTH8S6ZJNzCT8jVflW9ruCMAyr8e5pXfJk8aA', NULL, NULL, 'MBCGcyPpreOnanoNjCXLyouT9VdbX8k4', '2026-11-30 06:43:10+05:45', '2026-11-30 05:43:10+05:45', NULL, NULL, '["openid", "email", "offline_access"]');
INSERT INTO theirs."oauthAccessToken" VALUES ('w3CPq8pDC5fJft6QHzCuiGzfuOKzzlSF', 'YHe3hf-sTFD9rArFrL8-SnRS7SKQQVlNj_1SK6y1FBE', 'SmsBQllIKceUndyrpoOwAvBmTBvMFzDC', 'GaVjqwQPbTjswlsbEnFbMYJKWF85FfjB', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', NULL, '1hyqroqTH8S6ZJNzCT8jVflW9ruCMAyr8e5pXfJk8aA', NULL, NULL, '81c2210jjFuppK6KA7ImGkXUu4MVwRre', '2026-11-30 06:43:10+05:45', '2026-11-30 05:43:10+05:45', NULL, NULL, '["openid", "email", "offline_access"]');
INSERT INTO theirs."oauthAccessToken" VALUES ('dlUXTnfE0yZzB4HdjV7Ucm87GYFzifmL', 'AMTy6GQkIa1O-j0HPE7RdcN0Br3ein3w5A3i4ecHRkk', 'cGRAAVkVoMBlfYGUOQydRUKjEfFzPwka', 'kJAae6JiA5TObaanH0TioyHaaLpNwNwb', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg', NULL, 'Pwz_T3CXS7aTmB8U0VGh_DXLqb7bQDNWMoIKx5_UBG4', NULL, NULL, '8KnkOcFKbBtUGhIOsZiFCV528x4xBv8m', '2026-11-30 06:43:11+05:45', '2026-11-30 05:43:11+05:45', NULL, NULL, '["openid", "email", "offline_access"]');
INSERT INTO theirs."oauthAccessToken" VALUES ('LY5zuhycmq97j7KXfjfCCAXOXsljQS8t', '13Ef-9DQDxCdu4wOkRN5pJ8e4CoMtyuBUV3TNV8JXCA', 'SmsBQllIKceUndyrpoOwAvBmTBvMFzDC', 'kJAae6JiA5TObaanH0TioyHaaLpNwNwb', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg', NULL, 'ITMFCTey5mDP2luXdSzay2d_aQQKKZ-4sahefnaqe0Y', NULL, NULL, NULL, '2026-11-30 06:43:11+05:45', '2026-11-30 05:43:11+05:45', NULL, NULL, '["openid"]');
INSERT INTO theirs."oauthClient" VALUES ('vTm3dYgBBPOxjwlzw6WqXzs30yH9lF4J', 'SmsBQllIKceUndyrpoOwAvBmTBvMFzDC', 'QZR375ZROQj1a7kHRX_we8zK4gHOBcWFURd-qwPeyEM', NULL, false, NULL, NULL, NULL, '["openid", "profile", "email", "offline_access"]', '[]', NULL, '2026-11-30 05:43:09+05:45', '2026-11-30 05:43:09+05:45', 'Calendar', 'https://client.example', NULL, '["ops@client.example"]', NULL, NULL, 'calendar', '2', NULL, '["https://client.example/callback"]', NULL, NULL, NULL, 'client_secret_post', 'web', NULL, NULL, '["authorization_code", "refresh_token"]', '["code"]', NULL, false, NULL, NULL);
INSERT INTO theirs."oauthClient" VALUES ('P7P3b3Fg4dApW99i7rH4P9qhWk1gOJeM', 'cGRAAVkVoMBlfYGUOQydRUKjEfFzPwka', NULL, NULL, false, NULL, NULL, NULL, '["openid", "profile", "email", "offline_access"]', '[]', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg', '2026-11-30 05:43:10+05:45', '2026-11-30 05:43:10+05:45', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '["https://client.example/callback"]', NULL, NULL, NULL, 'none', 'web', NULL, NULL, '["authorization_code"]', '["code"]', NULL, false, NULL, NULL);
INSERT INTO theirs."oauthConsent" VALUES ('taKVedW2jWKvjptewZb0fvq1CBTp4wXS', 'SmsBQllIKceUndyrpoOwAvBmTBvMFzDC', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', NULL, NULL, '[]', '["openid", "email", "offline_access"]', '2026-11-30 05:43:10+05:45', '2026-11-30 05:43:10+05:45');
INSERT INTO theirs."oauthConsent" VALUES ('shaTapnu32ZKTtfJJQE21v5IsFWZLMRL', 'cGRAAVkVoMBlfYGUOQydRUKjEfFzPwka', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg', NULL, NULL, '[]', '["openid", "email", "offline_access"]', '2026-11-30 05:43:10+05:45', '2026-11-30 05:43:10+05:45');
INSERT INTO theirs."oauthConsent" VALUES ('gkdzRR2CE7G1XuLltuE56eBXCKS0rxzj', 'SmsBQllIKceUndyrpoOwAvBmTBvMFzDC', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg', NULL, NULL, '[]', '["openid"]', '2026-11-30 05:43:11+05:45', '2026-11-30 05:43:11+05:45');
INSERT INTO theirs."oauthConsent" VALUES ('9TlA4IAfp0WTnAzfgVMk7eGXLwzEzpvW', 'cGRAAVkVoMBlfYGUOQydRUKjEfFzPwka', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', NULL, NULL, '[]', '["openid", "email", "offline_access"]', '2026-11-30 05:43:11+05:45', '2026-11-30 05:43:11+05:45');
INSERT INTO theirs."oauthRefreshToken" VALUES ('MBCGcyPpreOnanoNjCXLyouT9VdbX8k4', '101UssJlQ0PdN56RW83kKFx0Ww_o0F0FPx8BUl61bq0', 'SmsBQllIKceUndyrpoOwAvBmTBvMFzDC', 'GaVjqwQPbTjswlsbEnFbMYJKWF85FfjB', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', NULL, '1hyqroqTH8S6ZJNzCT8jVflW9ruCMAyr8e5pXfJk8aA', NULL, NULL, '2026-12-30 05:43:10+05:45', '2026-11-30 05:43:10+05:45', '2026-11-30 05:43:10+05:45', '2026-11-30 05:43:10+05:45', NULL, NULL, '2026-11-30 05:43:09.225+05:45', NULL, '["openid", "email", "offline_access"]');
INSERT INTO theirs."oauthRefreshToken" VALUES ('81c2210jjFuppK6KA7ImGkXUu4MVwRre', 'EGWxJ4slEQaqhA8qgsyQhqFVxq0XpMO2wl0Dy9X95L4', 'SmsBQllIKceUndyrpoOwAvBmTBvMFzDC', 'GaVjqwQPbTjswlsbEnFbMYJKWF85FfjB', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', NULL, '1hyqroqTH8S6ZJNzCT8jVflW9ruCMAyr8e5pXfJk8aA', NULL, NULL, '2026-12-30 05:43:10+05:45', '2026-11-30 05:43:10+05:45', NULL, NULL, NULL, NULL, '2026-11-30 05:43:09.225+05:45', NULL, '["openid", "email", "offline_access"]');
INSERT INTO theirs."oauthRefreshToken" VALUES ('8KnkOcFKbBtUGhIOsZiFCV528x4xBv8m', 'qoM22DqpiIp8DJajVk_Ogkyi710jD3s7xo5vxFVWzq8', 'cGRAAVkVoMBlfYGUOQydRUKjEfFzPwka', 'kJAae6JiA5TObaanH0TioyHaaLpNwNwb', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg', NULL, 'Pwz_T3CXS7aTmB8U0VGh_DXLqb7bQDNWMoIKx5_UBG4', NULL, NULL, '2026-12-30 05:43:11+05:45', '2026-11-30 05:43:11+05:45', NULL, NULL, NULL, NULL, '2026-11-30 05:43:09.821+05:45', NULL, '["openid", "email", "offline_access"]');
INSERT INTO theirs."oauthRefreshToken" VALUES ('DrE7u6QPqOb8Rp1PUq5RaT6MpIM6TXeJ', 'VeO117G0DtvfBhGEVXAPPudkScsE0z3jZFUMSAULRug', 'cGRAAVkVoMBlfYGUOQydRUKjEfFzPwka', 'GaVjqwQPbTjswlsbEnFbMYJKWF85FfjB', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', NULL, 'WTxZQkbgGi6gzc4O060nXL__MhfW0HocLUPXVMWyiE4', NULL, NULL, '2026-12-30 05:43:11+05:45', '2026-11-30 05:43:11+05:45', '2026-11-30 05:43:11+05:45', NULL, NULL, NULL, '2026-11-30 05:43:09.225+05:45', NULL, '["openid", "email", "offline_access"]');
INSERT INTO theirs."oauthResource" VALUES ('1F5UgDszv2gKbNmUFXYcTnpxDZz1jSZx', 'https://api.example/calendar', 'Calendar', NULL, NULL, NULL, NULL, NULL, '{"calendar": {"version": 2}}', false, false, '2026-11-30 05:43:08.116+05:45', '2026-11-30 05:43:08.116+05:45', 1, NULL);
INSERT INTO theirs.presented VALUES ('secret of shop', 'tgNPKcgAOFTxfIkIEwVONMpfWqCBOLYZ');
INSERT INTO theirs.presented VALUES ('app', 'cGRAAVkVoMBlfYGUOQydRUKjEfFzPwka');
INSERT INTO theirs.presented VALUES ('live', 'RnfxZRyyCeeLPafxXvOQQNFfcuTlpLpz');
INSERT INTO theirs.presented VALUES ('spent', 'xyvyDkXVvqSDlJqzeKmOQWKBufZmCtuH');
INSERT INTO theirs.presented VALUES ('ada', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8');
INSERT INTO theirs.presented VALUES ('shop', 'SmsBQllIKceUndyrpoOwAvBmTBvMFzDC');
INSERT INTO theirs.presented VALUES ('other', 'ZVhmLVShwTkueZyuxgnlSPjOtbqrAjTE');
INSERT INTO theirs.presented VALUES ('revoked', 'ZzONTLdExEEMlsHGztawmsDlsTqyaGGl');
INSERT INTO theirs.presented VALUES ('bob', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg');
INSERT INTO theirs.session VALUES ('GaVjqwQPbTjswlsbEnFbMYJKWF85FfjB', '2026-12-07 05:43:09.225+05:45', '29L0aV2WU3DcLjvcpoT9SBODJLz0blnC', '2026-11-30 05:43:09.225+05:45', '2026-11-30 05:43:09.225+05:45', '', 'Go-http-client/1.1', 'BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8');
INSERT INTO theirs.session VALUES ('kJAae6JiA5TObaanH0TioyHaaLpNwNwb', '2026-12-07 05:43:09.821+05:45', 'G1BDFnOginoGmEoTJo3ANJX9qrbo4A6n', '2026-11-30 05:43:09.821+05:45', '2026-11-30 05:43:09.821+05:45', '', 'Go-http-client/1.1', 'swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg');
INSERT INTO theirs."user" VALUES ('BbqbruIjYTnbpKr1VKfvTdqQPIi7yau8', 'Ada', 'ada@example.com', false, NULL, '2026-11-30 05:43:09.192+05:45', '2026-11-30 05:43:09.192+05:45');
INSERT INTO theirs."user" VALUES ('swD2GsPNEoRPZTxqY9Eaohc13Eh5JANg', 'Ada', 'bob@example.com', false, NULL, '2026-11-30 05:43:09.814+05:45', '2026-11-30 05:43:09.814+05:45');
ALTER TABLE ONLY theirs.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);
ALTER TABLE ONLY theirs."deviceCode"
    ADD CONSTRAINT "deviceCode_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY theirs.jwks
    ADD CONSTRAINT jwks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY theirs."oauthAccessToken"
    ADD CONSTRAINT "oauthAccessToken_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY theirs."oauthAccessToken"
    ADD CONSTRAINT "oauthAccessToken_token_key" UNIQUE (token);
ALTER TABLE ONLY theirs."oauthClientAssertion"
    ADD CONSTRAINT "oauthClientAssertion_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY theirs."oauthClientResource"
    ADD CONSTRAINT "oauthClientResource_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY theirs."oauthClient"
    ADD CONSTRAINT "oauthClient_clientId_key" UNIQUE ("clientId");
ALTER TABLE ONLY theirs."oauthClient"
    ADD CONSTRAINT "oauthClient_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY theirs."oauthConsent"
    ADD CONSTRAINT "oauthConsent_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY theirs."oauthRefreshToken"
    ADD CONSTRAINT "oauthRefreshToken_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY theirs."oauthRefreshToken"
    ADD CONSTRAINT "oauthRefreshToken_token_key" UNIQUE (token);
ALTER TABLE ONLY theirs."oauthResource"
    ADD CONSTRAINT "oauthResource_identifier_key" UNIQUE (identifier);
ALTER TABLE ONLY theirs."oauthResource"
    ADD CONSTRAINT "oauthResource_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY theirs.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id);
ALTER TABLE ONLY theirs.session
    ADD CONSTRAINT session_token_key UNIQUE (token);
ALTER TABLE ONLY theirs."user"
    ADD CONSTRAINT user_email_key UNIQUE (email);
ALTER TABLE ONLY theirs."user"
    ADD CONSTRAINT user_pkey PRIMARY KEY (id);
CREATE INDEX "account_userId_idx" ON theirs.account USING btree ("userId");
CREATE UNIQUE INDEX "deviceCode_deviceCode_uidx" ON theirs."deviceCode" USING btree ("deviceCode");
CREATE UNIQUE INDEX "deviceCode_userCode_uidx" ON theirs."deviceCode" USING btree ("userCode");
CREATE INDEX "oauthAccessToken_authorizationCodeId_idx" ON theirs."oauthAccessToken" USING btree ("authorizationCodeId");
CREATE INDEX "oauthAccessToken_clientId_idx" ON theirs."oauthAccessToken" USING btree ("clientId");
CREATE INDEX "oauthAccessToken_refreshId_idx" ON theirs."oauthAccessToken" USING btree ("refreshId");
CREATE INDEX "oauthAccessToken_sessionId_idx" ON theirs."oauthAccessToken" USING btree ("sessionId");
CREATE INDEX "oauthAccessToken_userId_idx" ON theirs."oauthAccessToken" USING btree ("userId");
CREATE INDEX "oauthClientResource_clientId_idx" ON theirs."oauthClientResource" USING btree ("clientId");
CREATE UNIQUE INDEX "oauthClientResource_clientId_resourceId_uidx" ON theirs."oauthClientResource" USING btree ("clientId", "resourceId");
CREATE INDEX "oauthClientResource_resourceId_idx" ON theirs."oauthClientResource" USING btree ("resourceId");
CREATE INDEX "oauthClient_userId_idx" ON theirs."oauthClient" USING btree ("userId");
CREATE INDEX "oauthConsent_clientId_idx" ON theirs."oauthConsent" USING btree ("clientId");
CREATE INDEX "oauthConsent_userId_idx" ON theirs."oauthConsent" USING btree ("userId");
CREATE INDEX "oauthRefreshToken_authorizationCodeId_idx" ON theirs."oauthRefreshToken" USING btree ("authorizationCodeId");
CREATE INDEX "oauthRefreshToken_clientId_idx" ON theirs."oauthRefreshToken" USING btree ("clientId");
CREATE INDEX "oauthRefreshToken_sessionId_idx" ON theirs."oauthRefreshToken" USING btree ("sessionId");
CREATE INDEX "oauthRefreshToken_userId_idx" ON theirs."oauthRefreshToken" USING btree ("userId");
CREATE INDEX "session_userId_idx" ON theirs.session USING btree ("userId");
ALTER TABLE ONLY theirs.account
    ADD CONSTRAINT "account_userId_fkey" FOREIGN KEY ("userId") REFERENCES theirs."user"(id) ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthAccessToken"
    ADD CONSTRAINT "oauthAccessToken_clientId_fkey" FOREIGN KEY ("clientId") REFERENCES theirs."oauthClient"("clientId") ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthAccessToken"
    ADD CONSTRAINT "oauthAccessToken_refreshId_fkey" FOREIGN KEY ("refreshId") REFERENCES theirs."oauthRefreshToken"(id) ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthAccessToken"
    ADD CONSTRAINT "oauthAccessToken_sessionId_fkey" FOREIGN KEY ("sessionId") REFERENCES theirs.session(id) ON DELETE SET NULL;
ALTER TABLE ONLY theirs."oauthAccessToken"
    ADD CONSTRAINT "oauthAccessToken_userId_fkey" FOREIGN KEY ("userId") REFERENCES theirs."user"(id) ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthClientResource"
    ADD CONSTRAINT "oauthClientResource_clientId_fkey" FOREIGN KEY ("clientId") REFERENCES theirs."oauthClient"("clientId") ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthClientResource"
    ADD CONSTRAINT "oauthClientResource_resourceId_fkey" FOREIGN KEY ("resourceId") REFERENCES theirs."oauthResource"(identifier) ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthClient"
    ADD CONSTRAINT "oauthClient_userId_fkey" FOREIGN KEY ("userId") REFERENCES theirs."user"(id) ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthConsent"
    ADD CONSTRAINT "oauthConsent_clientId_fkey" FOREIGN KEY ("clientId") REFERENCES theirs."oauthClient"("clientId") ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthConsent"
    ADD CONSTRAINT "oauthConsent_userId_fkey" FOREIGN KEY ("userId") REFERENCES theirs."user"(id) ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthRefreshToken"
    ADD CONSTRAINT "oauthRefreshToken_clientId_fkey" FOREIGN KEY ("clientId") REFERENCES theirs."oauthClient"("clientId") ON DELETE CASCADE;
ALTER TABLE ONLY theirs."oauthRefreshToken"
    ADD CONSTRAINT "oauthRefreshToken_sessionId_fkey" FOREIGN KEY ("sessionId") REFERENCES theirs.session(id) ON DELETE SET NULL;
ALTER TABLE ONLY theirs."oauthRefreshToken"
    ADD CONSTRAINT "oauthRefreshToken_userId_fkey" FOREIGN KEY ("userId") REFERENCES theirs."user"(id) ON DELETE CASCADE;
ALTER TABLE ONLY theirs.session
    ADD CONSTRAINT "session_userId_fkey" FOREIGN KEY ("userId") REFERENCES theirs."user"(id) ON DELETE CASCADE;
