// Package sample fills a migrated database with rows such as a busy authorization server leaves behind: enough of them that
// the planner chooses as it does in production, and the same ones in every run.
//
// It is for explaining queries, not for running them by hand: the rows satisfy every constraint, and their credentials are
// digests of nothing that was ever issued.
package sample
