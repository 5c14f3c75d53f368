package transfer

import (
	"errors"
	"path/filepath"

	"damocles-manager/internal/durable"
)

// volumes are the file systems to which a batch is copied.
type volumes map[string]*durable.Volume // by type directory

func (r *run) volumes(jobs []*job) (volumes, error) {
	v := volumes{}
	for _, j := range jobs {
		for _, it := range j.items {
			dir := filepath.Dir(it.To)
			if v[dir] != nil || it.published || (it.way != wayCopy && it.way != wayFill) {
				continue
			}
			vol, err := r.FS.OpenVolume(dir)
			if err != nil {
				v.close()
				return nil, err
			}
			v[dir] = vol
		}
	}
	return v, nil
}

func (v volumes) close() {
	for _, vol := range v {
		vol.Close()
	}
}

// sync makes the small files of the jobs durable together; one by one where the
// system cannot do that.
func (v volumes) sync(s durable.FS, jobs []*job) error {
	need := map[string]bool{}
	err := eachLazy(jobs, func(it *item, _ *file) error {
		need[filepath.Dir(it.To)] = true
		return nil
	})
	if err != nil {
		return err
	}
	single := false
	for dir := range need {
		err := v[dir].Sync()
		if errors.Is(err, errors.ErrUnsupported) {
			single = true
		} else if err != nil {
			return err
		}
	}
	if !single {
		return nil
	}
	return syncSingly(s, jobs)
}

func syncSingly(s durable.FS, jobs []*job) error {
	synced := map[string]bool{}
	return eachLazy(jobs, func(it *item, f *file) error {
		if err := s.SyncFile(filepath.Join(it.staged(), f.name)); err != nil {
			return err
		}
		if !it.Kind.IsDir() || synced[it.staged()] {
			return nil
		}
		// The names in it are all there by now.
		synced[it.staged()] = true
		return s.SyncDir(it.staged())
	})
}

func eachLazy(jobs []*job, do func(*item, *file) error) error {
	for _, j := range jobs {
		for _, it := range j.items {
			for _, f := range it.files {
				if !it.pending(f) || !isLazy(f) {
					continue
				}
				if err := do(it, f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
