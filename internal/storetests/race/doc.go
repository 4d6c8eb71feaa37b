// Package race runs calls of package store concurrently, and checks which locks each of them takes.
package race
