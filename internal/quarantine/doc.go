// Package quarantine keeps the files of sectors that were removed, so that a
// removal can be taken back. It moves them, by renaming and never by copying,
// into a directory of their own store:
//
//	<store>/quarantine/s-t01000-5-20261122T191852.684792980Z/
//	    manifest.json   which files these are, and where they belong
//	    sealed          what was sealed/s-t01000-5
//	    cache/          what was cache/s-t01000-5
//
// lotus-miner and damocles look into the type directories of a store alone, so
// that they do not see what lies here. Nothing in an entry has the name of a
// sector's file.
//
// At every moment each file is whole at exactly one of the two places, and the
// manifest, which is durable before the first file moves, says where the other
// one is. Only Purge deletes. Whether a sector may still be needed, this package
// does not know: whoever calls Put or Purge has found that out.
package quarantine
