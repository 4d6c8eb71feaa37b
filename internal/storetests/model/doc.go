// Package model runs random histories of calls against a model in Go that says what each has to answer.
package model
