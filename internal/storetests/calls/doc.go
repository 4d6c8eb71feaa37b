// Package calls tests the contract of each call of package store, a file for each noun. Every outcome has a test that reaches
// it.
package calls
