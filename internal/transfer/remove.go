package transfer

import (
	"fmt"
	"os"
	"path/filepath"

	"damocles-manager/internal/fault"
)

// removeSources removes what is known at the target now.
func (r *run) removeSources(jobs []*job) {
	if r.Keep {
		return
	}
	touched := dirs{}
	for _, j := range good(jobs) {
		for _, it := range j.items {
			if it.src.info == nil || it.way == wayRename {
				continue
			}
			touched.add(filepath.Dir(it.From), j)
			left, err := r.removeSource(it)
			if err != nil {
				j.err = fault.New("it is whole at the target: look at the reason and run this again, which removes it",
					"remove the source %s: %w", it.From, err)
				break
			}
			for _, name := range left {
				j.left = append(j.left, filepath.Join(it.From, name))
			}
		}
	}
	touched.sync(r.FS)
}

// removeSource removes the files that were carried, and no others.
func (r *run) removeSource(it *item) (left []string, err error) {
	if err := r.broken(); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(it.To); err != nil { // a mount may be gone
		return nil, err
	}
	var names []string
	for _, f := range it.files {
		if f.src == nil {
			continue
		}
		now, err := os.Lstat(it.from(f))
		if err != nil {
			return nil, err
		}
		if !sameFile(now, f.src) || now.Size() != f.src.Size() || !now.ModTime().Equal(f.src.ModTime()) {
			return nil, fmt.Errorf("%s has changed since it was copied", it.from(f))
		}
		names = append(names, f.name)
	}
	if it.Kind.IsDir() {
		return r.FS.RemoveFiles(it.From, names)
	}
	return nil, r.FS.Drop(it.From)
}
