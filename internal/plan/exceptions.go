package plan

// Exception lets a statement break a rule, for a reason.
type Exception struct {
	Statement string // its name, as Queries or Inner has it
	Rule      Rule
	Reason    string
}

// Exceptions are all there are. One that is no longer needed is a fault too.
var Exceptions = []Exception{
	{"RevokeClientAuthorizations", NoGrowth, "It ends everything that was granted to one client, in the order in which every call locks families: all of them are sorted, since all of them are written."},
	{"RevokeClientAuthorizations", Buffers, "It ends everything that was granted to one client, and a client may have been granted much."},
	{"DeleteClient", NoGrowth, "It locks every authorization of the client, in order, before the cascade deletes them."},
	{"DeleteClient", Buffers, "It deletes everything that was granted to one client, and a client may have been granted much."},
	{"DeleteUser", Buffers, "It deletes the clients that the user owns, with everything that was granted to one, and that may have been much."},
	{"function lock_grant_parents", NoGrowth, "It locks the sessions in which all was granted that a client's deletion deletes."},
	{"function lock_grant_parents", Buffers, "It locks the sessions in which all was granted that a client's deletion deletes, and a client may have been granted much."},
}
