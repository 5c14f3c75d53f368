package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"damocles-manager/internal/durable"
)

// stateSuffix ends the name of the file in which the state of a copy is kept.
const stateSuffix = ".state"

// maxState bounds the size of that file, in bytes.
const maxState = 4096

// copyState says how far a staged file is: Offset bytes of it are on the disk.
// It holds for one source and one staged file only, which it describes.
type copyState struct {
	Size    int64  `json:"size"`    // of the source, in bytes
	ModTime int64  `json:"mtime"`   // of the source, in nanoseconds since 1970
	Changed int64  `json:"changed"` // the same, of its inode: a backup that is restored in place sets the mtime back
	Inode   uint64 `json:"inode"`   // of the source
	Staged  uint64 `json:"staged"`  // inode of the staged file
	Offset  int64  `json:"offset"`  // Size once it is complete
	Hash    []byte `json:"hash"`    // state of the SHA-256 of the first Offset bytes
	Sum     []byte `json:"sum"`     // SHA-256 of the whole, once it is complete
	Version int    `json:"version"` // 1
}

func inodeOf(fi fs.FileInfo) uint64 { return fi.Sys().(*syscall.Stat_t).Ino }

// newState is the state of a copy of the source src to the file staged.
func newState(src, staged fs.FileInfo) copyState {
	return copyState{
		Version: 1, Size: src.Size(), ModTime: src.ModTime().UnixNano(), Changed: durable.Changed(src),
		Inode: inodeOf(src), Staged: inodeOf(staged),
	}
}

// matches tells whether s is about these two files.
func (s copyState) matches(src, staged fs.FileInfo) bool {
	want := newState(src, staged)
	return s.Version == want.Version && s.Size == want.Size && s.ModTime == want.ModTime && s.Changed == want.Changed &&
		s.Inode == want.Inode && s.Staged == want.Staged && staged.Mode().IsRegular() && staged.Size() >= s.Offset &&
		s.Offset > 0 && s.Offset <= s.Size
}

// complete tells whether the staged file, all of which was written, is still as
// it was left; with hashed its sum has to be known, too.
func (s copyState) complete(staged fs.FileInfo, hashed bool) bool {
	return staged.Size() == s.Size && staged.ModTime().UnixNano() == s.ModTime && (!hashed || len(s.Sum) == sha256.Size)
}

// encode puts a checksum before the state: the file may be torn, or not ours.
func (s copyState) encode() ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%x %s\n", sha256.Sum256(data), data), nil
}

func decodeState(raw []byte) (copyState, error) {
	var s copyState
	line, whole := bytes.CutSuffix(raw, []byte("\n"))
	sum, data, ok := bytes.Cut(line, []byte(" "))
	want := sha256.Sum256(data)
	if !whole || !ok || string(sum) != hex.EncodeToString(want[:]) {
		return s, errors.New("not a whole state file")
	}
	err := json.Unmarshal(data, &s)
	return s, err
}

// readState returns the state of the staged file; a file that is not there, or
// cannot be used, is no state.
func readState(staged string) (copyState, bool) {
	path := staged + stateSuffix
	if fi, err := os.Lstat(path); err != nil || !fi.Mode().IsRegular() || fi.Size() > maxState {
		return copyState{}, false
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return copyState{}, false
	}
	s, err := decodeState(raw)
	return s, err == nil
}

func (c *copier) writeState(staged string, s copyState) error {
	raw, err := s.encode()
	if err != nil {
		return err
	}
	if err := c.fs.Replace(staged+stateSuffix, raw); err != nil {
		return fmt.Errorf("note how far it is: %w", err)
	}
	return nil
}

// removeState removes the state before the file that it is about goes. That
// comes back from no power cut: a new staged file can get the inode of the old.
func (c *copier) removeState(staged string) error {
	path := staged + stateSuffix
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return c.fs.Remove(path)
}

// forget removes what copyFile keeps beside a staged file of so many bytes. The
// caller does it when he publishes the file, and syncs the directory.
func (c *copier) forget(staged string, size int64) error {
	if size < c.sizes.resume {
		return nil
	}
	if err := c.fs.Drop(staged + stateSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweepStates removes from dir the state files whose staged file is gone, and
// the temporary names that a kill has left of state files.
func (c *copier) sweepStates(dir string) error {
	if err := c.fs.Sweep(dir, ".damocles-manager.*"+stateSuffix); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name, isState := strings.CutSuffix(e.Name(), stateSuffix)
		if !isState || !strings.HasPrefix(name, ".damocles-manager.") {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := c.fs.Drop(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// marshalHash and resumeHash keep a SHA-256 that is not finished; nil is none.
func marshalHash(h hash.Hash) ([]byte, error) {
	if h == nil {
		return nil, nil
	}
	return h.(encoding.BinaryMarshaler).MarshalBinary()
}

func resumeHash(state []byte) (hash.Hash, error) {
	h := sha256.New()
	return h, h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
}
