package damocles

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v2"
	"github.com/dgraph-io/badger/v2/options"
	"github.com/dgraph-io/badger/v2/pb"
	"github.com/dgraph-io/badger/v2/table"
	"github.com/dgraph-io/badger/v2/y"

	"damocles-manager/internal/durable"
)

// condition is what a look at a Badger directory shows.
type condition struct {
	// empty: it holds no data at all.
	empty bool
	// leftovers: tables that no manifest names, as an unclean stop leaves them.
	// Badger removes them whenever it opens, even to read.
	leftovers bool
}

// examine looks at a Badger directory without Badger, which ends the whole
// process on a cut table, makes a new database where the manifest is missing,
// and removes the tables of the old one. An error says that it is corrupt.
func examine(dir string) (condition, error) {
	tables, logs, err := listFiles(dir)
	if err != nil {
		return condition{}, err
	}
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		if len(tables)+logs > 0 {
			return condition{}, errors.New("its MANIFEST is missing")
		}
		return condition{empty: true}, nil
	}
	if err != nil {
		return condition{}, err
	}
	defer f.Close()
	manifest, end, err := badger.ReplayManifestFile(f)
	if err != nil {
		return condition{}, err
	}
	if logs == 0 && len(manifest.Tables) > 0 {
		return condition{}, errors.New("its value log is missing")
	}
	for id, t := range manifest.Tables {
		if err := examineTable(table.NewFilename(id, dir), t); err != nil {
			return condition{}, fmt.Errorf("table %06d: %w", id, err)
		}
		delete(tables, id)
	}
	if info, err := f.Stat(); err != nil || (info.Size() > end && len(tables) > 0) {
		return condition{}, errors.Join(err, errors.New("its MANIFEST is cut short, and tables are not in it"))
	}
	return condition{empty: logs == 0, leftovers: len(tables) > 0}, nil
}

// listFiles returns the numbers of the tables in dir and how many value logs it has.
func listFiles(dir string) (tables map[uint64]bool, logs int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	tables = make(map[uint64]bool)
	for _, e := range entries {
		if id, ok := table.ParseFileID(e.Name()); ok {
			tables[id] = true
		}
		if strings.HasSuffix(e.Name(), ".vlog") {
			logs++
		}
	}
	return tables, logs, nil
}

// examineTable verifies every checksum of a table.
func examineTable(path string, t badger.TableManifest) (err error) {
	// Badger's reader takes lengths and kinds within a block on trust.
	defer func() {
		if damage := recover(); damage != nil {
			err = fmt.Errorf("it is damaged: %v", damage)
		}
	}()
	if t.KeyID != 0 {
		return errors.New("it is encrypted, which damocles never does")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := examineIndex(f); err != nil {
		return err
	}
	opened, err := table.OpenTable(f, table.Options{
		LoadingMode: options.FileIO,
		ChkMode:     options.OnTableRead,
		Compression: t.Compression,
	})
	if err != nil {
		return errors.New(firstLine(err.Error()))
	}
	return opened.Close()
}

// examineIndex verifies a table's index, of which Badger takes the lengths on
// trust: at the end of the file stand the index, its length, its checksum and
// the checksum's length.
func examineIndex(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	sum, end, err := blockBefore(f, end)
	if err != nil {
		return err
	}
	index, _, err := blockBefore(f, end)
	if err != nil {
		return err
	}
	want := &pb.Checksum{}
	if err := want.Unmarshal(sum); err != nil {
		return err
	}
	return y.VerifyChecksum(index, want)
}

// blockBefore reads the bytes before end that their own length follows, and returns
// where they begin.
func blockBefore(f *os.File, end int64) ([]byte, int64, error) {
	var length [4]byte
	if end < 4 {
		return nil, 0, io.ErrUnexpectedEOF
	}
	if _, err := f.ReadAt(length[:], end-4); err != nil {
		return nil, 0, err
	}
	size := int64(binary.BigEndian.Uint32(length[:]))
	start := end - 4 - size
	if size == 0 || start < 0 {
		return nil, 0, errors.New("it is cut short")
	}
	data := make([]byte, size)
	_, err := f.ReadAt(data, start)
	return data, start, err
}

// tornLog is a value log that ends in what is no whole transaction.
type tornLog struct {
	path string
	size int64
	// end is where the last whole transaction ends.
	end int64
}

// parseTorn reads the arguments of Badger's message "Truncate Needed. File %s
// size: %d Endoffset: %d"; nil where they are others.
func parseTorn(args []any) *tornLog {
	if len(args) != 3 {
		return nil
	}
	path, okPath := args[0].(string)
	size, okSize := args[1].(int64)
	end, okEnd := args[2].(uint32)
	if !okPath || !okSize || !okEnd {
		return nil
	}
	return &tornLog{path: path, size: size, end: int64(end)}
}

// mendable says why cutting the log at its end would lose more than an
// interrupted write, which nobody was told had succeeded; nil where it would not.
func (t *tornLog) mendable() error {
	const header = 20 // of every value log; one that was just made may lack it
	logs, err := filepath.Glob(filepath.Join(filepath.Dir(t.path), "*.vlog"))
	if err != nil {
		return err
	}
	if logs[len(logs)-1] != t.path { // Glob sorts
		return fmt.Errorf("%s is damaged, and later value logs follow it", t.path)
	}
	if t.end > max(t.size, header) {
		return fmt.Errorf("%s has lost its end: %d bytes of %d or more", t.path, t.size, t.end)
	}
	whole, err := hasCommit(t.path, t.end)
	if err != nil {
		return err
	}
	if whole {
		return fmt.Errorf("%s is damaged at byte %d, and whole transactions follow", t.path, t.end)
	}
	return nil
}

// hasCommit looks for the entry that ends a transaction, anywhere after offset.
func hasCommit(path string, offset int64) (bool, error) {
	const longest = 64 // no such entry is longer; pieces overlap by this
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return false, err
	}
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		piece, err := r.Peek(r.Size())
		if holdsCommit(piece) {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if _, err := r.Discard(len(piece) - longest); err != nil {
			return false, err
		}
	}
}

// holdsCommit looks for a whole entry under the key that Badger ends a
// transaction with. Before the key stand two bytes of flags, the lengths of key
// and value and the expiry, a byte each; after it the time of the commit, the
// value and the checksum over all of it.
func holdsCommit(piece []byte) bool {
	const head, stamp = 5, 8
	key := []byte("!badger!txn")
	for at := 0; ; at++ {
		next := bytes.Index(piece[at:], key)
		if next < 0 {
			return false
		}
		at += next
		if at < head {
			continue
		}
		entry := piece[at-head:]
		size := head + len(key) + stamp + int(entry[3])
		if len(entry) < size+crc32.Size {
			continue
		}
		sum := crc32.Checksum(entry[:size], y.CastagnoliCrcTable)
		if sum == binary.BigEndian.Uint32(entry[size:]) {
			return true
		}
	}
}

// backUp copies the log to dir and returns where it is.
func (t *tornLog) backUp(fsys durable.FS, dir, collection string) (string, error) {
	from, err := os.Open(t.path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := fsys.Sweep(dir, "*-"+collection+"-*.vlog"); err != nil {
		return "", err
	}
	when := time.Now().UTC().Format("20060102T150405.000Z")
	to := filepath.Join(dir, when+"-"+collection+"-"+filepath.Base(t.path))
	f, err := fsys.Create(to)
	if err != nil {
		return "", err
	}
	defer f.Discard()
	if _, err := io.Copy(f, from); err != nil {
		return "", fmt.Errorf("back up %s: %w", t.path, err)
	}
	return to, f.Commit()
}
