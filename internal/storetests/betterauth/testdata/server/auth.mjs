// The options of a better-auth server with its OAuth provider on a database that the migrations have made.
import { oauthDeviceAuthorization, oauthProvider } from "@better-auth/oauth-provider";
import { drizzleAdapter } from "better-auth/adapters/drizzle";
import { jwt } from "better-auth/plugins";
import { drizzle } from "drizzle-orm/node-postgres";
import * as schema from "./schema.mjs";

export const resource = "https://api.example/calendar";

// The table jwks has the keys of all servers, to be published by each. Without a key of its own algorithm this one would sign with the
// newest of another, whose private key it can't decrypt. With none at all it makes one.
const getJwks = async ({ context }) => {
	const keys = await context.adapter.findMany({ model: "jwks" });
	return keys.some((key) => key.alg === "EdDSA") ? keys : [];
};

export const options = ({ baseURL, pool, secret, transaction = false, reuseInterval = 0 }) => ({
	baseURL,
	secret,
	database: drizzleAdapter(drizzle(pool, { schema }), { provider: "pg", schema, transaction }),
	emailAndPassword: { enabled: true, password: { hash: async (p) => `plain:${p}`, verify: async ({ hash, password }) => hash === `plain:${password}` } },
	rateLimit: { enabled: false },
	telemetry: { enabled: false },
	disabledPaths: ["/token"],
	plugins: [
		jwt({ adapter: { getJwks } }),
		oauthProvider({
			loginPage: "/sign-in",
			consentPage: "/consent",
			allowDynamicClientRegistration: true,
			allowUnauthenticatedClientRegistration: true,
			resources: [{ identifier: resource, name: "Calendar", customClaims: { calendar: { version: 2 } } }],
			clientRegistrationAllowedResources: [resource],
			pairwiseSecret: secret,
			refreshTokenReuseInterval: reuseInterval,
			silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
		}),
		oauthDeviceAuthorization({ interval: "1s", validateClient: async (id) => id === "tv" }),
	],
});
