// Package storetests is the root of the tests of package store. They are a module of their own, so that users of the store
// don't depend on test libraries. Package calls tests each call; each other package holds one kind of test.
package storetests
