package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
)

// SectorSizes are the sizes that sectors have on any network.
func SectorSizes() []abi.SectorSize {
	return []abi.SectorSize{2 << 10, 8 << 20, 512 << 20, 32 << 30, 64 << 30}
}

// KnownSize says whether a replica of so many bytes can be a sector's.
func KnownSize(n int64) bool {
	return n > 0 && slices.Contains(SectorSizes(), abi.SectorSize(n))
}

// WrongFileError is a sector's file that is there and is not what it should be.
type WrongFileError struct {
	Path   string
	Reason string
}

func (e *WrongFileError) Error() string { return e.Path + " " + e.Reason }

// Check says how a sector's files are looked at.
type Check struct {
	// Size is that of the sector; 0 takes any that sectors have.
	Size abi.SectorSize
	// Strict takes regular files alone. Otherwise a symbolic link counts as what it
	// points to.
	Strict bool
}

// Replica looks whether the sector's replica is a regular file of the right
// size, and returns its size. One that is not there is fs.ErrNotExist, one that
// is wrong a *WrongFileError; the size is returned then, too, where there is one.
func (c Check) Replica(s Store, kind sector.FileKind, id sector.ID) (int64, error) {
	path := s.Path(kind, id)
	info, err := c.regular(path)
	if err != nil {
		return 0, err
	}
	switch size := info.Size(); {
	case c.Size != 0 && size != int64(c.Size):
		return size, &WrongFileError{path, fmt.Sprintf("has %d bytes, and its sector %d", size, c.Size)}
	case c.Size == 0 && !KnownSize(size):
		return size, &WrongFileError{path, fmt.Sprintf("has %d bytes, which is the size of no sector", size)}
	default:
		return size, nil
	}
}

// Cache looks whether the sector's cache directory has every file of
// sector.CacheNames. One that is not there is fs.ErrNotExist, one that lacks
// files or has something else in their place a *WrongFileError. Without a size, what
// it holds must be enough for one of those that sectors have.
func (c Check) Cache(s Store, kind sector.FileKind, id sector.ID) error {
	dir := s.Path(kind, id)
	info, err := c.stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return &WrongFileError{dir, "is no directory"}
	case c.Size != 0:
		return c.cacheFiles(dir, c.Size)
	}
	// The sizes with one tree R hold the same files: the first stands for them.
	for _, size := range []abi.SectorSize{64 << 30, 32 << 30, 2 << 10} {
		if err = c.cacheFiles(dir, size); err == nil {
			return nil
		}
	}
	return err
}

func (c Check) cacheFiles(dir string, size abi.SectorSize) error {
	var missing []string
	for _, name := range sector.CacheNames(size) {
		_, err := c.regular(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
		} else if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return &WrongFileError{dir, "lacks " + strings.Join(missing, ", ")}
	}
	return nil
}

func (c Check) regular(path string) (os.FileInfo, error) {
	info, err := c.stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &WrongFileError{path, "is no regular file, but " + whatIs(info.Mode())}
	}
	return info, nil
}

// stat follows a link where links are taken. A link to nowhere is there, and
// wrong.
func (c Check) stat(path string) (os.FileInfo, error) {
	at, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if at.Mode()&fs.ModeSymlink == 0 {
		return at, nil
	}
	if c.Strict {
		return nil, &WrongFileError{path, "is a symbolic link, which a strict store does not take"}
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &WrongFileError{path, "is a symbolic link to what is not there"}
	}
	return info, err
}

func whatIs(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	default:
		return "something else"
	}
}
