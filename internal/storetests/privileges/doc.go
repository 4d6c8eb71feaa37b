// Package privileges tests the roles of package roles: that each may do what its calls need, and nothing else. That every call runs
// under its role is a matter of package calls, whose tests make all of them under it.
package privileges
