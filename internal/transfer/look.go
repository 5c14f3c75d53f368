package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// way is what has to be done with an object.
type way int

const (
	wayRename way = iota // it is not at the target, and a rename will do
	wayCopy              // it is not at the target
	wayFill              // its directory is at the target, and lacks files
	wayThere             // it is whole at the target, and still at the source
	wayGone              // it is whole at the target, and no longer at the source
)

// job is a sector on its way.
type job struct {
	Sector
	items []*item
	err   error

	moved    bool // something was renamed
	intended bool // the journal knows
	left     []string
}

// item is one of a job's objects.
type item struct {
	Object
	way       way
	src, dst  side
	files     []*file // of both sides, sorted; a replica is one file without name
	published bool    // its right name at the target is our doing
	entered   bool    // in the manifest
}

// file is a replica, or one file of a cache directory.
type file struct {
	name     string
	src, dst fs.FileInfo // nil where it is not
	equal    bool        // both are there, and the same
	got      fileResult  // of the copy, or of a comparison
	placed   fs.FileInfo // of the copy, once it is verified
}

// side is what one side has of an object.
type side struct {
	info  fs.FileInfo // nil: nothing
	files []sideFile  // sorted
}

type sideFile struct {
	name string
	info fs.FileInfo
}

// look finds out what has to be done with a sector, and checks that it can be.
// What is wrong with the sector itself is in the job; only ctx's error returns.
func (r *run) look(ctx context.Context, s Sector) (*job, error) {
	j := &job{Sector: s}
	j.err = r.lookAll(ctx, j)
	return j, ctx.Err()
}

func (r *run) lookAll(ctx context.Context, j *job) error {
	for _, o := range j.Objects {
		it, err := r.lookAt(ctx, j.Sector, o)
		if err != nil {
			return err
		}
		j.items = append(j.items, it)
	}
	return nil
}

func (r *run) lookAt(ctx context.Context, s Sector, o Object) (*item, error) {
	if want := filepath.Join(r.Target, o.Kind.String(), s.ID.String()); filepath.Clean(o.To) != want {
		return nil, fault.New("this is an error of the program", "%s does not belong to the target: it should be %s", o.To, want)
	}
	it := &item{Object: o}
	var err error
	if !o.stays() {
		it.src, err = readSide(o.From, o.Kind, r.Keep)
	}
	if err != nil {
		return nil, err
	}
	if !r.fresh[filepath.Dir(o.To)] {
		if it.dst, err = readSide(o.To, o.Kind, false); err != nil {
			return nil, err
		}
	}
	it.pair()
	switch {
	case it.src.info == nil && it.dst.info == nil:
		return nil, fault.New("if it was moved elsewhere, name the store in which it is now",
			"%s is not there, and nothing is at the target", o.From)
	case it.dst.info == nil:
		it.way = wayCopy
		if r.renames(o) {
			it.way = wayRename
		}
		return it, whole(o.From, s.Size, o.Kind, it.src)
	case it.src.info == nil:
		it.way = wayGone
		return it, whole(o.To, s.Size, o.Kind, it.dst)
	}
	return it, r.compare(ctx, s, it)
}

// pair joins what both sides have.
func (it *item) pair() {
	src, dst := it.src.files, it.dst.files
	for len(src)+len(dst) > 0 {
		f := &file{}
		switch {
		case len(dst) == 0 || (len(src) > 0 && src[0].name < dst[0].name):
			f.name, f.src, src = src[0].name, src[0].info, src[1:]
		case len(src) == 0 || dst[0].name < src[0].name:
			f.name, f.dst, dst = dst[0].name, dst[0].info, dst[1:]
		default:
			f.name, f.src, f.dst, src, dst = src[0].name, src[0].info, dst[0].info, src[1:], dst[1:]
		}
		it.files = append(it.files, f)
	}
}

func (it *item) from(f *file) string { return filepath.Join(it.From, f.name) }
func (it *item) to(f *file) string   { return filepath.Join(it.To, f.name) }

// readSide lists an object without what is never carried. With follow, links
// are read through. An object that is not there is no error.
func readSide(path string, kind sector.FileKind, follow bool) (side, error) {
	info, err := statFile(path, follow)
	if errors.Is(err, fs.ErrNotExist) {
		return side{}, nil
	}
	if err != nil {
		return side{}, err
	}
	if !kind.IsDir() {
		if info.IsDir() {
			return side{}, fault.New("look what it is, and move it away", "%s is a directory, and should be a file", path)
		}
		return side{info: info, files: []sideFile{{info: info}}}, nil
	}
	if !info.IsDir() {
		return side{}, fault.New("look what it is, and move it away", "%s is a file, and should be a directory", path)
	}
	files, err := readCache(path, follow)
	return side{info: info, files: files}, err
}

func readCache(dir string, follow bool) ([]sideFile, error) {
	entries, err := listDir(dir)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	files := make([]sideFile, 0, len(entries))
	for _, e := range entries {
		path := dir + "/" + e.Name()
		info, err := plain(path, e, follow)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, fault.New("look what it is, and move it away",
				"%s is a directory, and a sector's cache has only files", path)
		}
		if strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		if !utf8.ValidString(e.Name()) {
			return nil, fault.New("look what it is, and move it away", "%q has a name that is not UTF-8", path)
		}
		files = append(files, sideFile{name: e.Name(), info: info})
	}
	return files, nil
}

// statFile returns a regular file or a directory, and an error for anything else.
func statFile(path string, follow bool) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	return plain(path, info, follow)
}

// plain checks what path itself is, and looks behind a link where it may.
func plain(path string, info fs.FileInfo, follow bool) (fs.FileInfo, error) {
	if info.Mode()&fs.ModeSymlink != 0 {
		if !follow {
			return nil, fault.New("move what it points to instead, or copy with --reserve",
				"%s is a symbolic link: its content is elsewhere", path)
		}
		var err error
		info, err = os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.New("restore what it points to", "%s is a symbolic link that leads nowhere", path)
		}
		if err != nil {
			return nil, err
		}
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, fault.New("look what it is, and move it away", "%s is neither a file nor a directory", path)
	}
	return info, nil
}

// whole checks that one side has all that a finished sector needs.
func whole(path string, size abi.SectorSize, kind sector.FileKind, s side) error {
	if !kind.IsDir() {
		// lotus keeps a note of which parts are filled behind the unsealed data.
		has, want := s.info.Size(), int64(size)
		if has == want || (kind == sector.Unsealed && has > want) {
			return nil
		}
		return fault.New("it is cut short or belongs to another sector: restore it first",
			"%s has %d bytes, and should have %d", path, has, want)
	}
	for _, name := range sector.CacheNames(size) {
		if !slices.ContainsFunc(s.files, func(f sideFile) bool { return f.name == name }) {
			return fault.New("the sector cannot be proven without it: restore it first",
				"%s has no %s", path, name)
		}
	}
	return nil
}
