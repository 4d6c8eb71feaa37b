// A better-auth server with its OAuth provider on a database that exists already. It prints its address once it listens, and
// ends with its standard input.
import { createServer } from "node:http";
import { oauthProvider } from "@better-auth/oauth-provider";
import { betterAuth } from "better-auth";
import { drizzleAdapter } from "better-auth/adapters/drizzle";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import * as schema from "./schema.mjs";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
const server = createServer((request, response) => handler(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const baseURL = `http://127.0.0.1:${server.address().port}`;

const auth = betterAuth({
	baseURL,
	secret: process.env.BETTER_AUTH_SECRET,
	database: drizzleAdapter(drizzle(pool, { schema }), { provider: "pg", schema }),
	emailAndPassword: { enabled: true, password: { hash: async (p) => `plain:${p}`, verify: async ({ hash, password }) => hash === `plain:${password}` } },
	rateLimit: { enabled: false },
	telemetry: { enabled: false },
	disabledPaths: ["/token"],
	plugins: [
		jwt(),
		oauthProvider({
			loginPage: "/sign-in",
			consentPage: "/consent",
			silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
		}),
	],
});
const handler = toNodeHandler(auth);

process.stdin.on("end", () => process.exit(0)).resume();
console.log(`${baseURL}/api/auth`);
