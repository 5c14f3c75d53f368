package sample

import (
	"fmt"
	"path/filepath"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
)

// writer writes the files of sectors into stores. Nothing is synced one by one: a
// network may have thousands of sectors, and is synced once at its end.
type writer struct {
	fs     durable.FS
	stores []string
}

// kinds of which every store has a directory.
var storeKinds = []sector.FileKind{sector.Unsealed, sector.Sealed, sector.Cache, sector.Update, sector.UpdateCache}

// makeStores makes the stores in dir, whose IDs begin with the number first.
func (w writer) makeStores(dir string, first int) error {
	if err := w.fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, s := range w.stores {
		for _, kind := range storeKinds {
			if err := w.fs.MkdirAll(filepath.Join(s, kind.String()), 0o755); err != nil {
				return err
			}
		}
		meta := fmt.Appendf(nil, `{"ID":"00000000-0000-4000-8000-%012d","Weight":10,"CanSeal":false,"CanStore":true,"MaxStorage":0}`, first+i)
		if err := w.file(filepath.Join(s, "sectorstore.json"), meta); err != nil {
			return err
		}
	}
	return nil
}

// sector writes all files of a sector.
func (w writer) sector(id sector.ID, r *replicas, m Member) error {
	at := func(store int, kind sector.FileKind) string {
		return filepath.Join(w.stores[store], kind.String(), id.String())
	}
	if err := w.pair(r.sealed, at(m.Replica, sector.Sealed), at(m.Cache, sector.Cache)); err != nil || r.update == nil {
		return err
	}
	return w.pair(r.update, at(m.Replica, sector.Update), at(m.Cache, sector.UpdateCache))
}

func (w writer) pair(s *Sealed, replica, cache string) error {
	if err := w.file(replica, s.Replica); err != nil {
		return err
	}
	if err := w.fs.StageDir(cache); err != nil {
		return err
	}
	for name, raw := range s.CacheFiles(cache) {
		if err := w.file(filepath.Join(cache, name), raw); err != nil {
			return err
		}
	}
	return nil
}

func (w writer) file(path string, raw []byte) error {
	f, err := w.fs.Stage(path)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(raw, 0); err != nil {
		f.Discard()
		return err
	}
	return f.Close()
}
