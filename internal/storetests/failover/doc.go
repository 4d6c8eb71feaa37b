// Package failover kills a primary in the middle of calls, promotes its standby, and judges what the standby has.
//
// The tests start two servers each and take some seconds, so they run only if -failovers says how often:
//
//	make failover
package failover
