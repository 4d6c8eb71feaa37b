// Package linear records histories of concurrent calls, and says whether they are linearizable: whether some order of the calls, in which none
// comes before one that had been answered when it was made, gives each the answer that the model (package model) gives it in that order.
//
// A history is that of a [World]: two users, their clients and sessions, and whatever is granted to them. A call never reads or writes rows of
// two worlds, and linearizability is local (Herlihy and Wing, 1990, theorem 1): if the history of each world is linearizable, that of the
// whole database is. So many short histories can run at once in one database, and are judged one by one.
//
// A call that got no answer, as the server was killed, may take effect at any time after it was made, or never.
//
//	w, err := linear.NewWorld(ctx, pool, "a name that no other world has")
//	…
//	err = w.Work(ctx, pool, worker, calls, seed) // by several goroutines, each with a number of its own
//	…
//	linear.Check(t, w)
package linear
