// A better-auth server on a database that exists already. It prints its address once it listens, and ends with its standard input.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { toNodeHandler } from "better-auth/node";
import pg from "pg";
import { options } from "./auth.mjs";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
const server = createServer((request, response) => handler(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const baseURL = `http://127.0.0.1:${server.address().port}`;
const { BETTER_AUTH_SECRET: secret, TRANSACTION, REUSE_INTERVAL } = process.env;
const auth = betterAuth(options({ baseURL, pool, secret, transaction: TRANSACTION === "1", reuseInterval: Number(REUSE_INTERVAL ?? 0) }));
const handler = toNodeHandler(auth);

process.stdin.on("end", () => process.exit(0)).resume();
console.log(`${baseURL}/api/auth`);
