// Package foreign holds what the store promises beside another server that writes to the same tables, by the statements that a
// better-auth server sends: each on its own, without a transaction, and without the columns that are ours alone. It has nothing but
// tests. Package betterauth does the same with such a server at work.
package foreign
