// Package demo tells the story of a switch: a lotus-miner with real sectors of
// 2 KiB, sealed here, goes over to damocles and comes back. Every command of the
// story is run by whoever calls, with the arguments that a user would type; the
// package makes the sectors, and holds the bytes before against those after.
//
// All that it makes is in the one directory that it is given. It prints nothing and
// opens no connection.
package demo
