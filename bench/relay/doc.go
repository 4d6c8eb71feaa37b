// Package relay puts a network between the benchmark and its server: a TCP relay on this machine that passes connections on to a
// target and holds every chunk back for half of a round trip, in each direction. It also counts the round trips that the client waits
// for, which tells how chatty a protocol is whatever the delay.
//
// It delays and counts, and must do nothing else: it doesn't limit throughput (up to 16 MiB are under way in each direction of a
// connection), reorder, merge connections, or look into what it passes on.
//
// # How it waits
//
// The delays of a local network are shorter than time.Sleep is exact: a sleep of 250 µs in an otherwise idle Go program takes
// about a millisecond, since the runtime waits in epoll_wait, which counts in milliseconds. Spinning is exact, and takes a
// processor from the server that is being measured. On Linux the relay waits for a timerfd, which wakes the runtime as a socket
// does, and sets it earlier by as much as the wake-ups before came late. As every chunk is held back equally long, one
// queue holds those of all connections in the order in which they are due, and one goroutine and one timer serve them all.
package relay
