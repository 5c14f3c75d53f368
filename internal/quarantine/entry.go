package quarantine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// Entry is what one removal of a sector has brought into a store's quarantine.
type Entry struct {
	Store store.Store
	// Name is that of its directory; "" where the quarantine of the store as a
	// whole could not be read, as Err says.
	Name   string
	Sector sector.ID
	Time   time.Time
	Why    string
	Who    string
	// Purging is when a purge began that did not come to its end.
	Purging time.Time
	Objects []Object
	// Empty says that an interrupted run has left the directory, and nothing in it.
	Empty bool
	// Err says why the entry cannot be worked with.
	Err error
}

// Object is a replica, or a cache directory with its files.
type Object struct {
	Kind  sector.FileKind
	Files []Member
	// Here says that it is in the quarantine, Back that something stands where it
	// belongs. An interrupted run leaves some of an entry's objects here.
	Here bool
	Back bool
	// Both says that one file is here and where it belongs: a file system without a
	// rename that replaces nothing gives it a second name first, and that was
	// interrupted. Back is false then, and either way can be gone on with.
	Both bool
	// Wrong says what it lacks of being as the manifest says, where it is here.
	Wrong string
	// Size is how many bytes of it are here.
	Size int64
}

// Dir is the entry's directory.
func (e *Entry) Dir() string { return filepath.Join(e.Store.Dir, DirName, e.Name) }

// Size is how many bytes the entry has on the disk.
func (e *Entry) Size() int64 {
	var n int64
	for _, o := range e.Objects {
		n += o.Size
	}
	return n
}

func (e *Entry) manifest() string { return filepath.Join(e.Dir(), manifestName) }

// path is where an object is while it is in the quarantine.
func (e *Entry) path(kind sector.FileKind) string { return filepath.Join(e.Dir(), kind.String()) }

// origin is where an object belongs.
func (e *Entry) origin(kind sector.FileKind) string { return e.Store.Path(kind, e.Sector) }

// load reads an entry and looks where its objects are.
func load(s store.Store, name string) Entry {
	e := Entry{Store: s, Name: name}
	if err := e.read(); err != nil {
		e.Err = fmt.Errorf("%s: %w", e.Dir(), err)
	}
	return e
}

func (e *Entry) read() error {
	var ok bool
	if e.Sector, e.Time, ok = parseEntryName(e.Name); !ok {
		return fault.New("look what it is: it is left alone", "it was not put here by this program")
	}
	info, err := os.Lstat(e.Dir())
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fault.New("look who made it: it is left alone", "it is no directory")
	}
	raw, err := readManifest(e.manifest())
	if errors.Is(err, fs.ErrNotExist) {
		return e.withoutManifest()
	}
	if err == nil {
		err = e.decode(raw)
	}
	if err != nil {
		return fault.New("move its files back by hand: it is left alone", "%w", err)
	}
	for i := range e.Objects {
		if err := e.look(&e.Objects[i]); err != nil {
			return err
		}
	}
	return nil
}

// withoutManifest tells a directory in which nothing was put yet, or is any
// more, from one whose manifest was lost.
func (e *Entry) withoutManifest() error {
	entries, err := os.ReadDir(e.Dir())
	if err != nil {
		return err
	}
	for _, f := range entries {
		if temp, _ := filepath.Match("."+manifestName+".*.tmp", f.Name()); !temp {
			return fault.New("move its files back by hand: it is left alone", "it has no manifest")
		}
	}
	e.Empty = true
	return nil
}

func readManifest(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("its manifest is no regular file")
	case info.Size() > maxManifest:
		return nil, fmt.Errorf("its manifest has %d bytes", info.Size())
	}
	return io.ReadAll(io.LimitReader(f, maxManifest+1))
}

// look says where an object is, and whether it is whole. No link is followed.
func (e *Entry) look(o *Object) error {
	at, err := os.Lstat(e.path(o.Kind))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		o.Here = true
		if err := e.whole(o, at); err != nil {
			return err
		}
	}
	origin, err := os.Lstat(e.origin(o.Kind))
	if err == nil && o.Here && at.Mode().IsRegular() && os.SameFile(at, origin) {
		o.Both = true
		return nil
	}
	if o.Back = err == nil; errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}

func (e *Entry) whole(o *Object, at fs.FileInfo) error {
	if o.Kind.IsDir() != at.IsDir() {
		o.Wrong = e.path(o.Kind) + " is something else than was put here"
		return nil
	}
	for _, f := range o.Files {
		ok, err := isMember(filepath.Join(e.path(o.Kind), f.Name), f)
		if err != nil {
			return err
		}
		if ok {
			o.Size += f.Size
		} else if o.Wrong == "" {
			o.Wrong = filepath.Join(e.path(o.Kind), f.Name) + " is missing, or not what was put here"
		}
	}
	return nil
}

// isMember says whether a regular file of the right size is there.
func isMember(path string, f Member) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && f.is(info), err
}

func (f Member) is(info fs.FileInfo) bool { return info.Mode().IsRegular() && info.Size() == f.Size }
