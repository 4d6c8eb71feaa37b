// Package monitoring holds the dashboard and the alerts of docs/monitoring to the metrics that there are.
package monitoring
