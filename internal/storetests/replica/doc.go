// Package replica has standbys that lag answer introspections, and holds the answers against what was revoked.
//
//	make replicas
package replica
