package damocles

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v2"

	"damocles-manager/internal/fault"
)

// plain opens a collection with damocles's own options.
func plain(t *testing.T, dir string, readOnly bool, fn func(*badger.DB)) {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithReadOnly(readOnly))
	if err != nil {
		t.Fatalf("damocles cannot open %s: %v", dir, err)
	}
	fn(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	data := readFile(t, path)
	data[at] ^= 0xff
	writeFile(t, path, data)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// killedHome is a home whose writer was killed after two transactions of three
// sectors each; nothing of them is in a table yet.
func killedHome(t *testing.T) (home, log string) {
	t.Helper()
	home = filepath.Join(t.TempDir(), "home")
	kill(startReady(t, "writer", home))
	return home, filepath.Join(home, "offline_meta", "000000.vlog")
}

var (
	firstThree = []int{7000, 7001, 7002}
	allSix     = []int{7000, 7001, 7002, 7010, 7011, 7012}
)

func TestReadUncleanStop(t *testing.T) {
	home, _ := killedHome(t)
	var notices []string
	h := openHome(t, home, Options{Notice: func(s string) { notices = append(notices, s) }})
	if got := numbers(t, h, Offline, nil); !reflect.DeepEqual(got, allSix) {
		t.Errorf("got %v, want %v", got, allSix)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "offline_meta") || !strings.Contains(notices[0], "not closed cleanly") {
		t.Errorf("notices: got %q", notices)
	}
	closeHome(t, h)
	plain(t, filepath.Join(home, "offline_meta"), true, func(*badger.DB) {})
	openHome(t, home, Options{Notice: func(s string) { t.Errorf("the second time: %s", s) }})
}

func TestWriteUncleanStop(t *testing.T) {
	home, _ := killedHome(t)
	h := openHome(t, home, Options{Write: true, Notice: func(s string) { t.Errorf("notice: %s", s) }})
	if got := numbers(t, h, Offline, nil); !reflect.DeepEqual(got, allSix) {
		t.Errorf("got %v, want %v", got, allSix)
	}
}

// Tables that no manifest names are removed by Badger even when it reads.
func TestReadLeftovers(t *testing.T) {
	home := copyHome(t)
	dir := filepath.Join(home, "meta")
	writeFile(t, filepath.Join(dir, "000009.sst"), readFile(t, filepath.Join(dir, "000002.sst")))
	notices := 0
	h := openHome(t, home, Options{Notice: func(string) { notices++ }})
	if got := numbers(t, h, Online, nil); len(got) != 2 || notices != 1 {
		t.Errorf("got %v and %d notices", got, notices)
	}
}

func TestTornLog(t *testing.T) {
	home, log := killedHome(t)
	whole := readFile(t, log)
	for name, damaged := range map[string][]byte{
		"cut inside an entry":    whole[:len(whole)-2500],
		"cut in the last entry":  whole[:len(whole)-1],
		"zeros after the cut":    append(bytes.Clone(whole[:len(whole)-2500]), make([]byte, 3000)...),
		"cut in its first entry": whole[:len(whole)-6100],
	} {
		t.Run(name, func(t *testing.T) {
			home := copyOf(t, home)
			writeFile(t, filepath.Join(home, "offline_meta", "000000.vlog"), damaged)
			checkTornRead(t, home)
			checkTornWrite(t, home, damaged)
		})
	}
}

func checkTornRead(t *testing.T, home string) {
	t.Helper()
	_, err := OpenHome(context.Background(), home, Config{}, Options{})
	if fault.KindOf(err) != fault.Refused || !strings.Contains(fault.HintOf(err), "again") {
		t.Errorf("read: got %v, hint %s", err, fault.HintOf(err))
	}
}

func checkTornWrite(t *testing.T, home string, damaged []byte) {
	t.Helper()
	dir := filepath.Join(home, "offline_meta")
	if _, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil)); !failedWith(err, badger.ErrTruncateNeeded) {
		t.Errorf("damocles itself: got %v", err)
	}
	var notices []string
	h := openHome(t, home, Options{Write: true, Notice: func(s string) { notices = append(notices, s) }})
	if got := numbers(t, h, Offline, nil); !reflect.DeepEqual(got, firstThree) {
		t.Errorf("got %v, want %v", got, firstThree)
	}
	backups, err := filepath.Glob(filepath.Join(home, "switching", "mended", "*-offline_meta-000000.vlog"))
	if err != nil || len(backups) != 1 || !bytes.Equal(readFile(t, backups[0]), damaged) {
		t.Fatalf("backups: got %v, %v", backups, err)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], backups[0]) {
		t.Errorf("notices: got %q, want one with %s", notices, backups[0])
	}
	if err := h.Apply(context.Background(), newStates(7010, 3)); err != nil {
		t.Error(err)
	}
	closeHome(t, h)
	plain(t, dir, true, func(*badger.DB) {})
	if got := numbers(t, openHome(t, home, Options{}), Offline, nil); !reflect.DeepEqual(got, allSix) {
		t.Errorf("after all: got %v, want %v", got, allSix)
	}
}

func copyOf(t *testing.T, home string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	return to
}

// A log that was made and then killed before it got its header is no loss.
func TestTornEmptyLog(t *testing.T) {
	home := copyHome(t)
	writeFile(t, filepath.Join(home, "meta", "000001.vlog"), nil)
	h := openHome(t, home, Options{Write: true})
	if got := numbers(t, h, Online, nil); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// What is damaged, and not only interrupted, is refused and left as it is, both
// to read and to write.
func TestCorrupt(t *testing.T) {
	killed, _ := killedHome(t)
	for _, test := range []struct {
		name, home, want string
		damage           func(t *testing.T, dir string)
	}{
		{"log damaged in the middle", killed, "whole transactions follow", func(t *testing.T, dir string) {
			flip(t, dir+"/000000.vlog", 1000)
		}},
		{"an earlier log cut", killed, "later value logs", func(t *testing.T, dir string) {
			log := readFile(t, dir+"/000000.vlog")
			writeFile(t, dir+"/000000.vlog", log[:len(log)-10])
			writeFile(t, dir+"/000001.vlog", log[:20])
		}},
		{"log lost its end", "", "lost its end", func(t *testing.T, dir string) {
			log := readFile(t, dir+"/000000.vlog")
			writeFile(t, dir+"/000000.vlog", log[:len(log)/2])
		}},
		{"log gone", "", "value log is missing", func(t *testing.T, dir string) { remove(t, dir+"/000000.vlog") }},
		{"table gone", "", "no such file", func(t *testing.T, dir string) { remove(t, dir+"/000002.sst") }},
		{"table empty", "", "table 000002", func(t *testing.T, dir string) { writeFile(t, dir+"/000002.sst", nil) }},
		{"table cut", "", "table 000002", func(t *testing.T, dir string) {
			writeFile(t, dir+"/000002.sst", readFile(t, dir+"/000002.sst")[:100])
		}},
		{"table damaged", "", "checksum", func(t *testing.T, dir string) { flip(t, dir+"/000002.sst", 100) }},
		{"manifest gone", "", "MANIFEST is missing", func(t *testing.T, dir string) { remove(t, dir+"/MANIFEST") }},
		{"manifest damaged", "", "checksum", func(t *testing.T, dir string) { flip(t, dir+"/MANIFEST", 20) }},
	} {
		for _, write := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				home := copyHome(t)
				if test.home != "" {
					home = copyOf(t, test.home)
				}
				test.damage(t, filepath.Join(home, "offline_meta"))
				remove(t, filepath.Join(home, "offline_meta", "LOCK"))
				before := files(t, filepath.Join(home, "offline_meta"))
				_, err := OpenHome(context.Background(), home, Config{}, Options{Write: write})
				if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), test.want) {
					t.Errorf("write %v: got %v, want %q", write, err, test.want)
				}
				if err != nil && strings.Contains(err.Error(), "\n") {
					t.Errorf("more than a sentence: %v", err)
				}
				if got := files(t, filepath.Join(home, "offline_meta")); !reflect.DeepEqual(got, before) {
					t.Errorf("write %v changed the home: got %v, want %v", write, got, before)
				}
			})
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// No damage to a byte of a table or manifest may end the process.
func TestExamineEveryByte(t *testing.T) {
	home := copyHome(t)
	dir := filepath.Join(home, "meta")
	for _, name := range []string{"000002.sst", "MANIFEST"} {
		whole := readFile(t, filepath.Join(dir, name))
		for at := range whole {
			damaged := bytes.Clone(whole)
			damaged[at] ^= []byte{0x01, 0x80, 0xff}[at%3]
			writeFile(t, filepath.Join(dir, name), damaged)
			if _, err := examine(dir); err == nil {
				t.Errorf("%s: byte %d was not noticed", name, at)
			}
			if at%5 == 0 {
				writeFile(t, filepath.Join(dir, name), whole[:at])
				_, _ = examine(dir)
			}
		}
		writeFile(t, filepath.Join(dir, name), whole)
	}
	if _, err := examine(dir); err != nil {
		t.Error(err)
	}
}

// The end of a transaction is found wherever in a log it stands, and only whole.
func TestHasCommit(t *testing.T) {
	_, log := killedHome(t)
	data := readFile(t, log)
	key := bytes.Index(data, []byte("!badger!txn"))
	entry := data[key-5 : key+11+8+int(data[key-2])+4]
	path := filepath.Join(t.TempDir(), "log")
	for _, before := range []int{0, 4, 100, 1<<20 - 70, 1<<20 - 30, 1<<20 - 1, 1 << 20, 2<<20 - 40} {
		for cut, want := range []bool{true, false} {
			writeFile(t, path, append(make([]byte, before), entry[:len(entry)-cut]...))
			if got, err := hasCommit(path, 0); got != want || err != nil {
				t.Errorf("at %d, cut by %d: got %v, %v", before, cut, got, err)
			}
		}
	}
	if got, err := hasCommit(path, 3<<20); got || err != nil {
		t.Errorf("past the end: got %v, %v", got, err)
	}
}
