// The tables of the migrations as Drizzle sees them: better-auth's names on the left, the columns on the right.
import { boolean, customType, integer, pgTable, text, timestamp, uniqueIndex } from "drizzle-orm/pg-core";

const time = (column) => timestamp(column, { withTimezone: true, precision: 6 });
const times = { createdAt: time("created_at").notNull().defaultNow(), updatedAt: time("updated_at").notNull().defaultNow() };
const id = text("id").primaryKey();

// better-auth hands some objects over as text that is JSON already; Drizzle's jsonb would make a JSON string of it. What it reads
// again by JSON.parse is jsonText.
const toDriver = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const jsonb = customType({ dataType: () => "jsonb", toDriver });
const jsonText = customType({ dataType: () => "jsonb", toDriver, fromDriver: JSON.stringify });

export const user = pgTable("user", {
	id, ...times, name: text("name").notNull(), email: text("email").unique(), emailVerified: boolean("email_verified").notNull(), image: text("image"),
});

export const session = pgTable("session", {
	id, ...times, expiresAt: time("expires_at").notNull(), token: text("token").notNull().unique(), ipAddress: text("ip_address"),
	userAgent: text("user_agent"), userId: text("user_id").notNull(),
});

export const account = pgTable("account", {
	id, ...times, accountId: text("account_id").notNull(), providerId: text("provider_id").notNull(), userId: text("user_id").notNull(),
	accessToken: text("access_token"), refreshToken: text("refresh_token"), idToken: text("id_token"),
	accessTokenExpiresAt: time("access_token_expires_at"), refreshTokenExpiresAt: time("refresh_token_expires_at"),
	scope: text("scope"), password: text("password"),
});

export const verification = pgTable("verification", {
	id, ...times, identifier: text("identifier").notNull(), value: text("value").notNull(), expiresAt: time("expires_at").notNull(),
});

export const jwks = pgTable("jwks", {
	id, createdAt: times.createdAt, publicKey: text("public_key").notNull(), privateKey: text("private_key").notNull(), expiresAt: time("expires_at"),
	alg: text("alg"), crv: text("crv"),
});

export const oauthClient = pgTable("oauth_client", {
	id, ...times, clientId: text("client_id").notNull().unique(), clientSecret: text("client_secret"), disabled: boolean("disabled"),
	skipConsent: boolean("skip_consent"), enableEndSession: boolean("enable_end_session"), subjectType: text("subject_type"),
	scopes: text("scopes").array(), userId: text("user_id"), name: text("name"), uri: text("uri"), icon: text("icon"),
	contacts: text("contacts").array(), tos: text("tos"), policy: text("policy"), softwareId: text("software_id"),
	softwareVersion: text("software_version"), softwareStatement: text("software_statement"),
	redirectUris: text("redirect_uris").array().notNull(), postLogoutRedirectUris: text("post_logout_redirect_uris").array(),
	backchannelLogoutUri: text("backchannel_logout_uri"), backchannelLogoutSessionRequired: boolean("backchannel_logout_session_required"),
	tokenEndpointAuthMethod: text("token_endpoint_auth_method"), applicationType: text("application_type"),
	jwks: jsonText("jwks"), jwksUri: text("jwks_uri"), grantTypes: text("grant_types").array(), responseTypes: text("response_types").array(),
	requirePKCE: boolean("require_pkce"), dpopBoundAccessTokens: boolean("dpop_bound_access_tokens"), referenceId: text("reference_id"),
	metadata: jsonb("metadata"), clientDiscoveryId: text("client_discovery_id"), clientCredentialsScopes: text("client_credentials_scopes").array(),
});

export const oauthResource = pgTable("oauth_resource", {
	id, ...times, identifier: text("identifier").notNull().unique(), name: text("name").notNull(), accessTokenTtl: integer("access_token_ttl"),
	refreshTokenTtl: integer("refresh_token_ttl"), signingAlgorithm: text("signing_algorithm"), signingKeyId: text("signing_key_id"),
	allowedScopes: text("allowed_scopes").array(), customClaims: jsonb("custom_claims"),
	dpopBoundAccessTokensRequired: boolean("dpop_bound_access_tokens_required"), disabled: boolean("disabled"),
	policyVersion: integer("policy_version"), metadata: jsonb("metadata"),
});

export const oauthClientResource = pgTable("oauth_client_resource", {
	id, createdAt: times.createdAt, clientId: text("client_id").notNull(), resourceId: text("resource_id").notNull(), metadata: jsonb("metadata"),
}, (t) => [uniqueIndex("oauth_client_resource_client_resource_uidx").on(t.clientId, t.resourceId)]);

const token = {
	id, createdAt: times.createdAt, clientId: text("client_id").notNull(), sessionId: text("session_id"), referenceId: text("reference_id"),
	authorizationCodeId: text("authorization_code_id"), resources: text("resources").array(), expiresAt: time("expires_at"),
	revoked: time("revoked"), confirmation: jsonb("confirmation"), scopes: text("scopes").array().notNull(),
	requestedUserInfoClaims: text("requested_user_info_claims").array(),
};

export const oauthRefreshToken = pgTable("oauth_refresh_token", {
	...token, token: text("token").notNull().unique(), userId: text("user_id").notNull(), authTime: time("auth_time"),
	rotatedAt: time("rotated_at"), rotationReplayResponse: text("rotation_replay_response"), rotationReplayExpiresAt: time("rotation_replay_expires_at"),
});

export const oauthAccessToken = pgTable("oauth_access_token", {
	...token, token: text("token").unique(), userId: text("user_id"), refreshId: text("refresh_id"),
});

export const oauthConsent = pgTable("oauth_consent", {
	id, ...times, clientId: text("client_id").notNull(), userId: text("user_id"), referenceId: text("reference_id"),
	scopes: text("scopes").array().notNull(), resources: text("resources").array(), requestedUserInfoClaims: text("requested_user_info_claims").array(),
});

// oauthDeviceAuthorization adds the last two.
export const deviceCode = pgTable("device_code", {
	id, deviceCode: text("device_code").notNull().unique(), userCode: text("user_code").notNull().unique(), userId: text("user_id"),
	expiresAt: time("expires_at").notNull(), status: text("status").notNull(), lastPolledAt: time("last_polled_at"),
	pollingInterval: integer("polling_interval"), clientId: text("client_id"), scope: text("scope"),
	oauthClientId: text("oauth_client_id"), resources: text("resources").array(),
});

export const oauthClientAssertion = pgTable("oauth_client_assertion", { id, expiresAt: time("expires_at").notNull() });
