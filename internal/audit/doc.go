// Package audit holds a miner's chain, metadata and disks against each other, and
// says of every sector that has to be proven whether it can be, by package post.
// It reads only. Where metadata comes from it does not know: whoever runs it hands
// in what it reads of a system.
package audit
