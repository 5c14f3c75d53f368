package quarantine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"damocles-manager/internal/sector"
)

const (
	// DirName is the directory of a store in which the quarantine is.
	DirName = "quarantine"

	manifestName    = "manifest.json"
	manifestVersion = 1
	// maxManifest is far above what the two dozen files of a sector need.
	maxManifest = 1 << 20

	timeLayout = "20060102T150405.000000000Z"
)

// document is a manifest as it stands on the disk. Sizes are in bytes.
type document struct {
	Version int       `json:"version"`
	Sector  string    `json:"sector"`
	Time    time.Time `json:"time"`
	Why     string    `json:"why"`
	Who     string    `json:"who"`
	// Purging is when a purge began: the entry is not whole since then.
	Purging time.Time    `json:"purging,omitzero"`
	Objects []objectLine `json:"objects"`
}

type objectLine struct {
	Kind string `json:"kind"`
	// Path is relative to the store.
	Path  string   `json:"path"`
	Files []Member `json:"files"`
}

// Member is a file of an object.
type Member struct {
	// Name is "" for a replica, which is its object.
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// entryName names the directory of an entry.
func entryName(id sector.ID, t time.Time) string {
	return id.String() + "-" + t.UTC().Format(timeLayout)
}

func parseEntryName(name string) (sector.ID, time.Time, bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return sector.ID{}, time.Time{}, false
	}
	id, ok := sector.ParseFileName(name[:i])
	t, err := time.Parse(timeLayout, name[i+1:])
	return id, t, ok && err == nil && entryName(id, t) == name
}

// relPath is where an object belongs, below the store.
func relPath(kind sector.FileKind, id sector.ID) string {
	return kind.String() + "/" + id.String()
}

func (e *Entry) encode() ([]byte, error) {
	doc := document{Version: manifestVersion, Sector: e.Sector.String(), Time: e.Time.UTC(), Why: e.Why, Who: e.Who, Purging: e.Purging}
	for _, o := range e.Objects {
		doc.Objects = append(doc.Objects, objectLine{Kind: o.Kind.String(), Path: relPath(o.Kind, e.Sector), Files: o.Files})
	}
	raw, err := json.MarshalIndent(doc, "", "  ")
	return append(raw, '\n'), err
}

// decode reads a manifest. Anybody who can write to the store may have changed
// it, so that nothing in it leads out of the entry or to another sector's place:
// its sector has to be that of the entry's name, each path the one that the
// object's kind says, and each name that of a file.
func (e *Entry) decode(raw []byte) error {
	var doc document
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&doc); err != nil {
		return fmt.Errorf("its manifest is not what we write: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("its manifest goes on behind its end")
	}
	switch {
	case doc.Version != manifestVersion:
		return fmt.Errorf("its manifest has version %d, and this program knows %d", doc.Version, manifestVersion)
	case doc.Sector != e.Sector.String():
		return fmt.Errorf("its manifest is of %q, and its name says %s", doc.Sector, e.Sector)
	case !isTime(doc.Time) || (!doc.Purging.IsZero() && !isTime(doc.Purging)):
		return errors.New("its manifest does not say when it was made")
	}
	e.Time, e.Why, e.Who, e.Purging = doc.Time.UTC(), doc.Why, doc.Who, doc.Purging.UTC()
	e.Objects = nil
	seen := map[sector.FileKind]bool{}
	for _, line := range doc.Objects {
		o, err := line.object(e.Sector)
		if err == nil && seen[o.Kind] {
			err = fmt.Errorf("its manifest has %s twice", o.Kind)
		}
		if err != nil {
			e.Objects = nil
			return err
		}
		seen[o.Kind] = true
		e.Objects = append(e.Objects, o)
	}
	return nil
}

func (l objectLine) object(id sector.ID) (Object, error) {
	kind, ok := sector.ParseFileKind(l.Kind)
	if !ok {
		return Object{}, fmt.Errorf("its manifest has the unknown kind %q", l.Kind)
	}
	if want := relPath(kind, id); l.Path != want {
		return Object{}, fmt.Errorf("its manifest says that its %s belongs to %q, and that is %q", kind, l.Path, want)
	}
	if !kind.IsDir() && (len(l.Files) != 1 || l.Files[0].Name != "") {
		return Object{}, fmt.Errorf("its manifest has other files in %s than the one", kind)
	}
	seen := map[string]bool{}
	for _, f := range l.Files {
		switch {
		case f.Size < 0:
			return Object{}, fmt.Errorf("its manifest has the size %d", f.Size)
		case kind.IsDir() && !isFileName(f.Name):
			return Object{}, fmt.Errorf("its manifest has %q, which is not the name of a file", f.Name)
		case seen[f.Name]:
			return Object{}, fmt.Errorf("its manifest has %q twice", f.Name)
		}
		seen[f.Name] = true
	}
	return Object{Kind: kind, Files: l.Files}, nil
}

// isTime leaves out what cannot be written again.
func isTime(t time.Time) bool { return t.UTC().Year() >= 2000 && t.UTC().Year() <= 9999 }

func isFileName(name string) bool {
	return name != "" && name != "." && name != ".." && filepath.Base(name) == name && !strings.ContainsRune(name, 0)
}
