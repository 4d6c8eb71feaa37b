// Package schema checks the schema, the text of the queries and the exported names of package store against the rules of the
// design.
package schema
