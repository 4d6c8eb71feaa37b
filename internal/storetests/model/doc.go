// Package model runs random sequences of calls, and compares each answer with that of a model in Go.
package model
