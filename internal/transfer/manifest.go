package transfer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// ManifestName is the manifest's name in the root of a store.
const ManifestName = "damocles-manager.sha256"

// record is what the manifest says of one object: a comment line
//
//	# {"v":1,"sector":"s-t01000-100","kind":"cache","files":[{"name":"p_aux",…}]}
//
// and, for each file of which the hash is known, a line as sha256sum writes it.
// The last record of an object counts. Sizes are in bytes.
type record struct {
	V      int     `json:"v"`
	Sector string  `json:"sector"`
	Kind   string  `json:"kind"`
	Files  []entry `json:"files"`
}

type entry struct {
	Name  string    `json:"name"` // "" for a replica
	Size  int64     `json:"size"`
	Mtime time.Time `json:"mtime"`
	Sum   *sum      `json:"sha256,omitempty"`
}

// sum is written as sha256sum writes it.
type sum [32]byte

func (s sum) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

func (s *sum) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(s) {
		return fmt.Errorf("%q is no SHA-256", b)
	}
	_, err := hex.Decode(s[:], b)
	return err
}

// file returns the entry of a file, nil where there is none.
func (r *record) file(name string) *entry {
	if r == nil {
		return nil
	}
	for i := range r.Files {
		if r.Files[i].Name == name {
			return &r.Files[i]
		}
	}
	return nil
}

// matches says whether the file is still as it was entered.
func (e *entry) matches(fi fs.FileInfo) bool {
	return e != nil && fi.Size() == e.Size && fi.ModTime().Equal(e.Mtime)
}

func (e *entry) result() fileResult {
	got := fileResult{Size: e.Size, ModTime: e.Mtime}
	if e.Sum != nil {
		got.Sum, got.Hashed = *e.Sum, true
	}
	return got
}

// append renders the record as its lines.
func (r *record) append(b []byte) ([]byte, error) {
	b, err := r.appendJSON(append(b, "# "...))
	if err != nil {
		return b, err
	}
	b = append(b, '\n')
	for _, e := range r.Files {
		if e.Sum == nil {
			continue
		}
		name := r.Kind + "/" + r.Sector
		if e.Name != "" {
			name += "/" + e.Name
		}
		// sha256sum marks a line in which it has escaped the name.
		if escaped := escapeName.Replace(name); escaped != name {
			name = escaped
			b = append(b, '\\')
		}
		b = append(append(append(hex.AppendEncode(b, e.Sum[:]), "  "...), name...), '\n')
	}
	return b, nil
}

// appendJSON writes what json.Marshal would, in a fraction of its time: there is
// a record for every object that is only renamed, too.
func (r *record) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"v":`...)
	b = strconv.AppendInt(b, int64(r.V), 10)
	b = append(append(append(b, `,"sector":"`...), r.Sector...), `","kind":"`...)
	b = append(append(b, r.Kind...), `","files":[`...)
	for i, e := range r.Files {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(e.Name)
		if err != nil {
			return b, err
		}
		b = append(append(append(b, `{"name":`...), name...), `,"size":`...)
		b = strconv.AppendInt(b, e.Size, 10)
		b = append(b, `,"mtime":"`...)
		b = e.Mtime.AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
		if e.Sum != nil {
			b = append(hex.AppendEncode(append(b, `,"sha256":"`...), e.Sum[:]), '"')
		}
		b = append(b, '}')
	}
	return append(b, "]}"...), nil
}

var escapeName = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`)

// manifest is the list of what was carried to a store, and the lock that keeps
// a second run away from it. A nil one, and one only read, have no lock.
type manifest struct {
	fs    durable.FS
	path  string
	f     *os.File
	index []place // by object, then by offset
	made  bool    // by this run

	mu   sync.Mutex
	size int64
}

// openManifest locks the manifest of the store target, making it where it is
// missing, and cuts off a record that an interrupted run has not finished.
func openManifest(s durable.FS, target string) (*manifest, error) {
	m := &manifest{fs: s, path: filepath.Join(target, ManifestName)}
	if err := m.lock(); err != nil {
		return nil, err
	}
	if err := m.load(); err != nil {
		m.f.Close()
		return nil, err
	}
	if fi, err := m.f.Stat(); err == nil && fi.Size() > m.size {
		if err := s.Truncate(m.path, m.size); err != nil {
			m.f.Close()
			return nil, fmt.Errorf("cut an unfinished record off the manifest: %w", err)
		}
	}
	return m, nil
}

// readManifest opens a manifest to look into it only; nil where there is none.
func readManifest(target string) (*manifest, error) {
	f, err := os.Open(filepath.Join(target, ManifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the manifest: %w", err)
	}
	m := &manifest{path: f.Name(), f: f}
	if err := m.load(); err != nil {
		f.Close()
		return nil, err
	}
	return m, nil
}

// add appends the records, and returns when they are durable.
func (m *manifest) add(records []*record) error {
	var b []byte
	for _, r := range records {
		var err error
		if b, err = r.append(b); err != nil {
			return fmt.Errorf("write the manifest: %w", err)
		}
	}
	if len(b) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.fs.Step("write", m.path)
	if err == nil {
		_, err = m.f.WriteAt(b, m.size)
	}
	if err == nil {
		err = m.fs.Step("sync", m.path)
	}
	if err == nil {
		err = m.f.Sync()
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fault.New(roomHint, "write the manifest %s: %w", m.path, err)
	}
	if err != nil {
		return fmt.Errorf("write the manifest %s: %w", m.path, err)
	}
	m.size += int64(len(b))
	return nil
}

// close gives the lock back. A manifest that this run has made, and in which
// nothing was entered, is removed again.
func (m *manifest) close() error {
	if m == nil {
		return nil
	}
	var err error
	if m.made && m.size == 0 {
		err = m.fs.Remove(m.path)
	}
	return errors.Join(err, m.f.Close())
}

// closeRead closes a manifest that was only read.
func (m *manifest) closeRead() error {
	if m == nil {
		return nil
	}
	return m.f.Close()
}

// object reads what names the object.
func (r *record) object() (sector.ID, sector.FileKind, error) {
	id, ok := sector.ParseFileName(r.Sector)
	kind, ok2 := sector.ParseFileKind(r.Kind)
	if !ok || !ok2 {
		return id, kind, fmt.Errorf("%q of kind %q is no object of a sector", r.Sector, r.Kind)
	}
	return id, kind, nil
}
