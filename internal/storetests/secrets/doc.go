// Package secrets makes every call with credentials that it knows, on a server that logs all it can, and looks for them wherever the
// database, the driver or this module could have kept one. Package calls does the same for a grant's whole life.
package secrets
