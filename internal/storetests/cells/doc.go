// Package cells moves users from one PostgreSQL cluster to another, as docs/cells.md says, and kills a cluster beside one that goes on.
package cells
