package quarantine

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// part is what a call of Put moves in one store.
type part struct {
	id      sector.ID
	store   store.Store
	at      os.FileInfo
	kinds   []sector.FileKind
	objects []Object
	missing []sector.FileKind
}

// split sorts the files by their stores. A store under two paths is one.
func (q *Quarantine) split(id sector.ID, files []File) ([]*part, error) {
	var parts []*part
	for _, f := range files {
		if !slices.Contains(sector.FileKinds(), f.Kind) {
			return nil, fmt.Errorf("move %s into the quarantine: %s is no kind of file", id, f.Kind)
		}
		if err := q.knows(f.Store); err != nil {
			return nil, fmt.Errorf("move %s into the quarantine: %w", id, err)
		}
		if err := store.CheckDir(f.Store.Dir); err != nil {
			return nil, fmt.Errorf("move %s into the quarantine: %w", id, err)
		}
		at, err := os.Stat(f.Store.Dir)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(parts, func(p *part) bool { return os.SameFile(p.at, at) })
		if i < 0 {
			i = len(parts)
			parts = append(parts, &part{id: id, store: f.Store, at: at})
		}
		if !slices.Contains(parts[i].kinds, f.Kind) {
			parts[i].kinds = append(parts[i].kinds, f.Kind)
		}
	}
	return parts, nil
}

// check looks at everything that could refuse, and changes nothing.
func (p *part) check() error {
	there, err := checkDir(p.store)
	if err != nil {
		return err
	}
	p.objects, p.missing = nil, nil
	for _, kind := range p.kinds {
		o, err := p.object(kind)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.missing = append(p.missing, kind)
		case err != nil:
			return err
		default:
			p.objects = append(p.objects, o)
		}
	}
	if len(p.objects) == 0 {
		return nil
	}
	if err := durable.CheckOwner(p.store.Dir); err != nil {
		return err
	}
	to := p.store.Dir
	if there {
		to = filepath.Join(p.store.Dir, DirName)
	}
	dirs := []string{to}
	for _, o := range p.objects {
		dirs = append(dirs, p.store.TypeDir(o.Kind))
	}
	for _, dir := range dirs {
		if err := writable(dir); err != nil {
			return err
		}
	}
	if raw, err := (&Entry{Sector: p.id, Objects: p.objects}).encode(); err != nil || len(raw) > maxManifest/2 {
		return cmp.Or(err, fault.Refuse("look what is in it, and move away by hand what is not the sector's",
			"the files of %s in %s are too many for a manifest", p.id, p.store.Dir))
	}
	return p.sameDisk(to)
}

// object looks at one of the sector's objects. Links are refused: what they
// point to is somebody else's.
func (p *part) object(kind sector.FileKind) (Object, error) {
	path := p.store.Path(kind, p.id)
	info, err := os.Lstat(path)
	if err != nil {
		return Object{}, err
	}
	if !kind.IsDir() {
		if !info.Mode().IsRegular() {
			return Object{}, notRegular(path)
		}
		return Object{Kind: kind, Files: []Member{{Size: info.Size()}}}, nil
	}
	if !info.IsDir() {
		return Object{}, fault.Refuse("look what it is, and move it away by hand", "%s is no directory", path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return Object{}, err
	}
	o := Object{Kind: kind, Files: []Member{}}
	for _, e := range entries {
		info, err := os.Lstat(filepath.Join(path, e.Name()))
		if err != nil {
			if _, gone := os.Lstat(path); errors.Is(gone, fs.ErrNotExist) {
				return Object{}, gone // another call has moved it
			}
			return Object{}, fmt.Errorf("%s changes while it is looked at: %s", path, err.Error())
		}
		if !info.Mode().IsRegular() {
			return Object{}, notRegular(filepath.Join(path, e.Name()))
		}
		if !utf8.ValidString(e.Name()) {
			return Object{}, fault.Refuse("rename it, or move it away by hand", "%s has a file named %q, which no manifest can hold", path, e.Name())
		}
		o.Files = append(o.Files, Member{Name: e.Name(), Size: info.Size()})
	}
	return o, nil
}

func notRegular(path string) error {
	return fault.Refuse("look what it is, and move it away by hand", "%s is no regular file, and only such are moved into the quarantine", path)
}

func writable(dir string) error {
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EROFS):
		return fault.Refuse("mount it writable", "nothing can be moved in %s: %w", dir, err)
	}
	return fault.Refuse("run this as the owner of the directory or as root", "nothing can be moved in %s: %w", dir, err)
}

// sameDisk refuses what is certain to fail. A bind mount has the same number on
// both sides, so that the rename itself has the last word.
func (p *part) sameDisk(to string) error {
	want, err := device(to)
	if err != nil {
		return err
	}
	for _, o := range p.objects {
		path := p.store.Path(o.Kind, p.id)
		got, err := device(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // another call has moved it
		case err != nil:
			return err
		case got != want:
			return fault.Refuse(otherDiskHint, "%s is on another file system than %s: %w", path, to, unix.EXDEV)
		}
	}
	return nil
}

func device(path string) (uint64, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, nil
	}
	return uint64(st.Dev), nil //nolint:unconvert // it has another size elsewhere
}
