// Package migrate carries the metadata of sectors from one system into
// another: it selects, compares, converts, writes and reports, keeps sector
// numbers from being used twice, and undoes what it wrote. The systems
// themselves are behind small interfaces; how a record looks in either is their
// own rooms' business.
//
// Every run is a plan, a stream of steps, and its execution: a dry run makes
// the same plan and stops there.
package migrate
