// A better-auth server on a database that exists already, or, with OWN_TABLES, on tables that its own migrations make. It prints its address once it listens, and ends with its standard input.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import pg from "pg";
import { options } from "./auth.mjs";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
const server = createServer((request, response) => handler(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const baseURL = `http://127.0.0.1:${server.address().port}`;
const { BETTER_AUTH_SECRET: secret, TRANSACTION, REUSE_INTERVAL, OWN_TABLES } = process.env;
const all = options({ baseURL, pool, secret, transaction: TRANSACTION === "1", reuseInterval: Number(REUSE_INTERVAL ?? 0) });
if (OWN_TABLES === "1") {
	Object.assign(all, { database: pool, emailAndPassword: { enabled: true } });
	await (await getMigrations(all)).runMigrations();
}
const auth = betterAuth(all);
const handler = toNodeHandler(auth);

process.stdin.on("end", () => process.exit(0)).resume();
console.log(`${baseURL}/api/auth`);
