// Package store is for directories of sector files: a lotus storage path or a
// damocles persist store. Both lay them out alike. It knows how they are laid
// out, finds the sectors in them, and reads and writes sectorstore.json, which
// both systems have with a schema of their own. What a sector is worth, and
// which store holds which sector by either system's book, it does not know.
package store
