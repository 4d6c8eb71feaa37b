// Package storetests is the root of the tests of package store, a module of its own, so that what they need is not needed by who
// uses the store: package calls has those of each call, by noun, the others those of a kind.
package storetests
