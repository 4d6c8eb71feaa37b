// Package race lets calls of package store overlap: all of them race, and the locks that they take are looked at one by one.
package race
