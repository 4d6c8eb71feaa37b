// Package crash kills PostgreSQL in the middle of calls and judges what it recovers.
package crash
