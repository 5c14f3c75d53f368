package transfer

import (
	"fmt"
	"os"
	"path/filepath"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/store"
)

// dirs are directories to be synced, in the order in which they came, each with
// the jobs that need it.
type dirs struct {
	order []string
	jobs  map[string][]*job
}

func (d *dirs) add(dir string, j *job) {
	if d.jobs == nil {
		d.jobs = map[string][]*job{}
	}
	users := d.jobs[dir]
	if users == nil {
		d.order = append(d.order, dir)
	}
	if n := len(users); n == 0 || users[n-1] != j {
		d.jobs[dir] = append(users, j)
	}
}

// sync syncs each directory once. Where it fails, the jobs that need it fail.
func (d *dirs) sync(s durable.FS) {
	for _, dir := range d.order {
		err := s.SyncDir(dir)
		if err == nil {
			continue
		}
		for _, j := range d.jobs[dir] {
			if j.err == nil {
				j.err = fault.New("look at the reason and run this again: it goes on where it stopped", "%w", err)
			}
		}
	}
}

// syncTargets makes the names durable: those that came before those that went.
func (r *run) syncTargets(jobs []*job) {
	var came, went dirs
	for _, j := range jobs {
		for _, it := range j.items {
			dir := filepath.Dir(it.To)
			switch {
			case it.published && it.way == wayRename:
				came.add(dir, j)
				went.add(filepath.Dir(it.From), j)
			case it.published:
				came.add(dir, j)
				went.add(filepath.Join(dir, store.FetchingName), j)
			case j.err == nil && (it.way == wayThere || it.way == wayGone):
				// Whoever brought it here may not have done so.
				came.add(dir, j)
			}
			inside := it.way == wayFill && it.published || it.way == wayThere && !r.Keep
			if j.err == nil && inside && it.Kind.IsDir() {
				came.add(it.To, j)
			}
		}
	}
	came.sync(r.FS)
	went.sync(r.FS)
}

// enter puts into the manifest what is at the target now and was not in it.
func (r *run) enter(jobs []*job) error {
	if err := r.broken(); err != nil {
		return err
	}
	var records []*record
	for _, j := range jobs {
		for _, it := range j.items {
			if it.entered || (!it.published && (j.err != nil || it.way == wayCopy || it.way == wayFill)) {
				continue
			}
			rec, err := it.record(j.Sector)
			if err != nil {
				if j.err == nil {
					j.err = err
				}
				continue
			}
			if it.published || !r.manifest.has(j.Sector, it, rec) {
				records = append(records, rec)
			}
			it.entered = true
		}
	}
	if err := r.manifest.add(records); err != nil {
		return r.breaks(err)
	}
	return nil
}

// record describes what is at the target.
func (it *item) record(s Sector) (*record, error) {
	rec := &record{V: 1, Sector: s.ID.String(), Kind: it.Kind.String()}
	for _, f := range it.files {
		info := f.dst
		if it.way == wayRename {
			info = f.src // the same file
		}
		if f.placed != nil {
			info = f.placed
		}
		if info == nil {
			var err error
			if info, err = os.Lstat(it.to(f)); err != nil {
				return nil, fmt.Errorf("look at what was published: %w", err)
			}
		}
		e := entry{Name: f.name, Size: info.Size(), Mtime: info.ModTime().UTC()}
		if f.got.Hashed {
			e.Sum = (*sum)(&f.got.Sum)
		}
		rec.Files = append(rec.Files, e)
	}
	return rec, nil
}

// has says whether the manifest knows as much already.
func (m *manifest) has(s Sector, it *item, rec *record) bool {
	known := m.find(s.ID, it.Kind)
	if known == nil || len(known.Files) != len(rec.Files) {
		return false
	}
	for i, e := range rec.Files {
		k := known.Files[i]
		if k.Name != e.Name || k.Size != e.Size || !k.Mtime.Equal(e.Mtime) || (e.Sum != nil && k.Sum == nil) {
			return false
		}
	}
	return true
}
