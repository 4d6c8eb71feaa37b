// Package calls holds the contract of each call of package store, by noun: every outcome has a test that reaches it.
package calls
