// Package schema holds the schema, the text of the queries and the surface of package store to the rules of the design.
package schema
