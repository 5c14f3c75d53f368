package store

import (
	"path/filepath"

	"damocles-manager/internal/sector"
)

// FetchingName is the one name in a type directory that lotus passes over when it
// looks for sectors; damocles never looks below it either.
const FetchingName = "fetching"

// Store is a directory of sector files.
type Store struct {
	// Name is what damocles's configuration calls it; lotus has none.
	Name string
	// Dir is absolute.
	Dir string
}

// TypeDir is the directory that holds one kind of file.
func (s Store) TypeDir(kind sector.FileKind) string { return filepath.Join(s.Dir, kind.String()) }

// Path is where a sector's file, or its cache directory, has to be.
func (s Store) Path(kind sector.FileKind, id sector.ID) string {
	return filepath.Join(s.Dir, kind.String(), id.String())
}
