// Prints what a better-auth server with these options wants of the database, and where the schema has it, as JSON. A name given as
// an argument adds a plugin of better-auth's.
import { getAuthTables } from "better-auth/db";
import * as plugins from "better-auth/plugins";
import { getTableConfig } from "drizzle-orm/pg-core";
import { options } from "./auth.mjs";
import * as schema from "./schema.mjs";

const all = options({ baseURL: "http://localhost", secret: "" });
all.plugins.push(...process.argv.slice(2).map((name) => plugins[name]()));

const wanted = [];
for (const [model, { modelName, fields }] of Object.entries(getAuthTables(all))) {
	const table = schema[modelName];
	for (const [key, field] of [["id", { type: "string", required: true }], ...Object.entries(fields)]) {
		const column = table?.[field.fieldName || key];
		wanted.push({
			model, field: key, type: String(field.type), required: field.required !== false,
			table: table && getTableConfig(table).name, column: column?.name, written: column?.getSQLType(),
		});
	}
}
console.log(JSON.stringify(wanted));
