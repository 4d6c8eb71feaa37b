// Package model is what the contracts above the queries promise, written in Go. Its tests run random sequences of calls, and compare each
// answer with the model's. Package linear holds histories of concurrent calls to the same model.
package model
