// Package killtest has the crash tests: the real command line in a process of
// its own that is killed at random moments, interrupted, given a disk that
// fills up, and peers that go away. What it leaves behind is looked at with the
// libraries and options of lotus-miner and damocles themselves, not with ours.
//
// The tests named TestKill make DM_KILLS runs in all (without it, one each);
// DM_SEED repeats the moments of an earlier run, as far as the machine allows.
package killtest
