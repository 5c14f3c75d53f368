package killtest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-bitfield"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"golang.org/x/sys/unix"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/lotus"
)

// records are all keys of a database, or of the collections of a home as
// collection/key.
type records map[string]string

// badgerOptions are damocles's own but for the size of the table in memory, of
// which 64 MiB would be cleared at each of a thousand openings.
func badgerOptions(dir string) badger.Options {
	return badger.DefaultOptions(dir).WithMaxTableSize(4 << 20).WithLogger(nil)
}

// How a collection is opened.
func asDamocles(o badger.Options) badger.Options { return o }
func readOnly(o badger.Options) badger.Options   { return o.WithReadOnly(true) }

// mended is for a home that a kill has left behind: damocles itself may refuse
// to open it, but what it holds has to be whole.
func mended(o badger.Options) badger.Options { return o.WithTruncate(true) }

// noChildren keeps other tests from starting a command until the function that
// it returns is called: a process that has just been started has the locks of
// every database that is open here, too, for a moment.
func noChildren() (again func()) {
	syscall.ForkLock.RLock()
	return syscall.ForkLock.RUnlock
}

// collection reads a collection with Badger itself.
func collection(t testing.TB, dir string, how func(badger.Options) badger.Options) records {
	t.Helper()
	defer noChildren()()
	db, err := badger.Open(how(badgerOptions(dir)))
	if err != nil {
		t.Fatalf("Badger does not open %s: %v", dir, err)
	}
	out := records{}
	err = db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			out[string(it.Item().Key())] = string(value)
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatalf("read %s: %v", dir, err)
	}
	return out
}

// homeRecords reads all collections of a home.
func homeRecords(t testing.TB, home string, how func(badger.Options) badger.Options) records {
	t.Helper()
	out := records{}
	for _, name := range []string{"meta", "offline_meta", "sector-index"} {
		dir := filepath.Join(home, name)
		if entries, err := os.ReadDir(dir); errors.Is(err, fs.ErrNotExist) || len(entries) == 0 {
			continue
		}
		for key, value := range collection(t, dir, how) {
			out[name+"/"+key] = value
		}
	}
	return out
}

// copiedHome reads a copy of a home that was left behind, so that looking at it
// does not mend it.
func copiedHome(t testing.TB, home string, how func(badger.Options) badger.Options) records {
	t.Helper()
	if _, err := os.Stat(home); errors.Is(err, fs.ErrNotExist) {
		return records{}
	}
	dir := t.TempDir()
	defer func() { _ = os.RemoveAll(dir) }()
	for _, name := range []string{"meta", "offline_meta", "sector-index"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(home, name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return homeRecords(t, dir, how)
}

// repoRecords reads all keys of a repo with lotus-miner's own options, and
// without the repair that lotus-miner would try.
func repoRecords(t testing.TB, repo string, readOnly bool) records {
	t.Helper()
	o := lotusOptions()
	o.ReadOnly = readOnly
	return levelDB(t, metadataDir(repo), o)
}

func levelDB(t testing.TB, dir string, o *opt.Options) records {
	t.Helper()
	defer noChildren()()
	db, err := leveldb.OpenFile(dir, o)
	if err != nil {
		t.Fatalf("LevelDB does not open %s: %v", dir, err)
	}
	out := records{}
	it := db.NewIterator(nil, nil)
	for it.Next() {
		out[string(it.Key())] = string(it.Value())
	}
	err = it.Error()
	it.Release()
	must(t, err, db.Close())
	return out
}

// copiedRepo reads a copy of a repo as lotus-miner would at its next start.
func copiedRepo(t testing.TB, repo string) records {
	t.Helper()
	dir := t.TempDir()
	defer func() { _ = os.RemoveAll(dir) }()
	must(t, os.CopyFS(metadataDir(dir), os.DirFS(metadataDir(repo))))
	return repoRecords(t, dir, false)
}

// same fails where two databases differ, and names the first differences.
func same(t testing.TB, what string, got, want records) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	var diff []string
	for _, key := range slices.Sorted(maps.Keys(union(got, want))) {
		g, inGot := got[key]
		w, inWant := want[key]
		switch {
		case !inGot:
			diff = append(diff, key+" is missing")
		case !inWant:
			diff = append(diff, key+" should not be there")
		case g != w:
			diff = append(diff, key+" holds another value")
		}
	}
	t.Fatalf("%s: %d of %d keys are wrong: %s", what, len(diff), len(want), strings.Join(diff[:min(len(diff), 5)], "; "))
}

func union(a, b records) records {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// eachOldOrNew fails where a key holds neither the one nor the other value, and
// returns how many hold the new one.
func eachOldOrNew(t testing.TB, what string, got, before, after records) (changed int) {
	t.Helper()
	for key := range union(union(got, before), after) {
		g, inGot := got[key]
		b, inBefore := before[key]
		a, inAfter := after[key]
		switch isOld, isNew := g == b && inGot == inBefore, g == a && inGot == inAfter; {
		case !isOld && !isNew:
			t.Fatalf("%s: %s holds neither the old value nor the new one: %.80q (there %v)", what, key, g, inGot)
		case !isOld:
			changed++
		}
	}
	return changed
}

// decodes fails where a state does not decode whole, or is another sector's.
func decodes(t testing.TB, home, repo records) {
	t.Helper()
	for key, value := range home {
		_, number, ok := strings.Cut(key, "sector-states")
		if !ok {
			continue
		}
		state, err := damocles.DecodeState([]byte(value))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if want := "-" + number[strings.LastIndex(number, "-")+1:]; !strings.HasSuffix(key, want) || !json.Valid([]byte(value)) {
			t.Fatalf("%s holds sector %d", key, state.ID.Number)
		}
	}
	for key, value := range repo {
		number, ok := strings.CutPrefix(key, "/sectors/")
		if !ok {
			continue
		}
		info, err := lotus.Decode([]byte(value))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if info.SectorNumber.String() != number {
			t.Fatalf("%s holds sector %d", key, info.SectorNumber)
		}
	}
}

// numbersHold fails where a number is lower than before.
func numbersHold(t testing.TB, got, before records) {
	t.Helper()
	for _, key := range []string{"meta/sector-number//m-1000", "/storage/nextid"} {
		was, _ := binary.Uvarint([]byte(before[key]))
		if is, _ := binary.Uvarint([]byte(got[key])); is < was {
			t.Fatalf("%s is %d, and was %d", key, is, was)
		}
	}
	for _, key := range []string{"/storage/sectorsids/allocated", "/storage/sectorsids/reserved", "/storage/sectorsids/reserved/for"} {
		if before[key] == "" {
			continue
		}
		lost, err := bitfield.SubtractBitField(bits(t, before[key]), bits(t, got[key]))
		must(t, err)
		if empty, err := lost.IsEmpty(); err != nil || !empty {
			t.Fatalf("%s has lost numbers (%v)", key, err)
		}
	}
}

// numbersCover fails where damocles would give out again the number of a sector
// that has been written.
func numbersCover(t testing.TB, got, before records) {
	t.Helper()
	last, _ := binary.Uvarint([]byte(got["meta/sector-number//m-1000"]))
	for key, value := range got {
		number, ok := strings.CutPrefix(key, "offline_meta/sector-states-offline/m-1000-n-")
		if !ok || value == before[key] {
			continue
		}
		if n, err := strconv.ParseUint(number, 10, 64); err != nil || n > last {
			t.Fatalf("%s is written (%v), and damocles counts on from %d", key, err, last)
		}
	}
}

func bits(t testing.TB, value string) bitfield.BitField {
	t.Helper()
	var b bitfield.BitField
	must(t, b.UnmarshalCBOR(strings.NewReader(value)))
	return b
}

// undone is what a rollback leaves: what was there before, but for the numbers.
func undone(before, after records) records {
	out := maps.Clone(before)
	for key, value := range after {
		if strings.HasPrefix(key, "meta/sector-number/") || strings.HasPrefix(key, "/storage/") {
			out[key] = value
		}
	}
	return out
}

const stamp = `\d{8}T\d{6}\.\d{9}Z`

var (
	badgerFiles  = `(\d{6}\.(sst|vlog)|MANIFEST|KEYREGISTRY)`
	levelDBFiles = `(\d{6}\.(ldb|log)|MANIFEST-\d{6}|CURRENT|CURRENT\.bak|LOCK|LOG|LOG\.old)`

	homeFiles = regexp.MustCompile(`^((meta|offline_meta|sector-index)/` + badgerFiles +
		`|switching/origins/` + levelDBFiles +
		`|switching/journal/(import|rollback)-` + stamp + `\.journal` +
		`|switching/mended/\d{8}T\d{6}\.\d{3}Z-(meta|offline_meta|sector-index)-\d{6}\.vlog)$`)
	// What Badger and LevelDB themselves could not make whole on a full disk, and
	// write over or remove at their next start.
	repoFilesMeanwhile = regexp.MustCompile(repoFiles.String() + `|^datastore/metadata/CURRENT\.\d+$`)
	homeFilesMeanwhile = regexp.MustCompile(homeFiles.String() + `|^(meta|offline_meta)/(MANIFEST-REWRITE|LOCK)$|^switching/origins/CURRENT\.\d+$`)

	repoFiles = regexp.MustCompile(`^(datastore/metadata/` + levelDBFiles +
		`|backups/(damocles-manager-` + stamp + `\.backup\.cbor|(export|rollback)-` + stamp + `\.journal))$`)
)

// expectedFiles fails where a home or a repo holds a file that has no place there.
func expectedFiles(t testing.TB, dir string, expected *regexp.Regexp) {
	t.Helper()
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return
	}
	var left []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil && !expected.MatchString(filepath.ToSlash(rel)) {
			left = append(left, rel)
		}
		return err
	})
	must(t, err)
	if len(left) > 0 {
		t.Fatalf("left behind in %s: %s", dir, strings.Join(left, ", "))
	}
}

// noLeftovers fails, too, where a journal has not ended.
func noLeftovers(t testing.TB, dir string, expected *regexp.Regexp) {
	t.Helper()
	expectedFiles(t, dir, expected)
	for _, path := range journals(t, dir) {
		if !readJournal(t, path).Ended {
			t.Fatalf("the journal %s has not ended", path)
		}
	}
}

// journals are those of a home or a repo.
func journals(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	for _, sub := range []string{"switching/journal", "backups"} {
		paths, err := filepath.Glob(filepath.Join(dir, sub, "[a-z]*.journal"))
		must(t, err)
		out = append(out, paths...)
	}
	return out
}

func readJournal(t testing.TB, path string) *durable.JournalReader {
	t.Helper()
	j, err := durable.OpenJournal(path)
	must(t, err)
	return j
}

// open says whether a home or a repo has a journal that has not ended.
func open(t testing.TB, dir string) bool {
	t.Helper()
	return slices.ContainsFunc(journals(t, dir), func(path string) bool { return !readJournal(t, path).Ended })
}

// noted fails where a key of a home has changed, and no journal tells how to
// undo that.
func noted(t testing.TB, home string, got, before records) {
	t.Helper()
	type change struct{ key, before string }
	has := map[change]bool{}
	for _, path := range journals(t, home) {
		err := readJournal(t, path).EachNewestRunFirst(t.Context(), func(e durable.Entry) error {
			has[change{e.Store + "/" + e.Key, string(e.Before)}] = true
			return nil
		})
		must(t, err)
	}
	for key := range union(got, before) {
		if got[key] != before[key] && !has[change{key, before[key]}] {
			t.Fatalf("%s has changed, and no journal has what it was", key)
		}
	}
}

// lockFree fails where a lotus-miner would not start for the sake of repo.lock:
// it has to be empty and unlocked, if it is there.
func lockFree(t testing.TB, repo string) {
	t.Helper()
	f, err := os.Open(filepath.Join(repo, "repo.lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	must(t, err)
	defer f.Close()
	fi, err := f.Stat()
	must(t, err)
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	must(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk))
	if fi.Size() != 0 || lk.Type != unix.F_UNLCK {
		t.Fatalf("repo.lock has %d bytes, and lock type %d", fi.Size(), lk.Type)
	}
}
