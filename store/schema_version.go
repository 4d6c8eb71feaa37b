// Code generated from the migrations by "make generate". DO NOT EDIT.

package store

// SchemaVersion is the version of the newest migration that the calls of this package need. They also work on a schema that is newer.
const SchemaVersion = 35
