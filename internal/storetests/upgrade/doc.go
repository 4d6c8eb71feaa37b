// Package upgrade tests that what an older release has written survives the migrations since. testdata has a file for each such
// release, named by the version of its schema, with rows of every table and what introspection said of each token.
package upgrade
