package cli

import (
	"fmt"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
)

// One bad record among good ones is reported with its reason; the rest arrives.
func TestBadRecords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		key    string
		change func([]byte) []byte
		says   []string
		never  []string
		left   int // of the 27 that arrive
	}{
		{"undecodable", "/sectors/8", func(b []byte) []byte { return b[:len(b)/2] }, []string{"s-t01000-8: failed: its record cannot be decoded", "backup of the repo"}, nil, 26},
		{"garbage", "/sectors/8", func([]byte) []byte { return []byte("garbage") }, []string{"s-t01000-8: failed: its record cannot be decoded"}, nil, 26},
		{"JSON", "/sectors/8", func([]byte) []byte { return []byte(`{"SectorNumber":8}`) }, []string{"s-t01000-8: failed: its record cannot be decoded"}, nil, 26},
		{"empty", "/sectors/8", func([]byte) []byte { return nil }, []string{"s-t01000-8: failed: its record is empty", "hint: restore"}, nil, 26},
		{"the record of another", "/sectors/8", nil, []string{"s-t01000-8: failed: its key says sector 8, its record says 9", "hint: find out which is true"}, nil, 26},
		{"a key that is a word", "/sectors/abc", func([]byte) []byte { return []byte("x") }, []string{`failed: key "/sectors/abc" does not end in a sector number`, "\thint: "}, []string{"s-t01000-0: failed"}, 27},
		{"a key of too many digits", "/sectors/99999999999999999999", func([]byte) []byte { return []byte("x") }, []string{`failed: key "/sectors/99999999999999999999"`}, []string{"s-t01000-0: failed"}, 27},
		{"a key with a zero in front", "/sectors/08", func([]byte) []byte { return []byte("x") }, []string{`failed: key "/sectors/08"`}, []string{"s-t01000-0: failed"}, 27},
		{"no key", "/sectors/", func([]byte) []byte { return []byte("x") }, []string{`failed: key "/sectors/"`}, []string{"s-t01000-0: failed"}, 27},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			repo, home := w.repo("lotus"), w.path("home")
			w.withRepo("lotus", func(db *leveldb.DB) {
				old, err := db.Get([]byte("/sectors/9"), nil)
				w.must(err)
				if tt.change != nil {
					if good, err := db.Get([]byte(tt.key), nil); err == nil {
						old = good
					}
					old = tt.change(old)
				}
				w.must(db.Put([]byte(tt.key), old, nil))
			})
			before := w.metadata("lotus")
			for _, dry := range []string{"--dry-run", "--dry-run=false"} {
				w.sectorsCmd(home, "import", "--repo", repo, dry).exits(3).readable().
					says(append(tt.says, fmt.Sprintf("import: %d ", tt.left), "1 failed")...).never(tt.never...)
			}
			r := w.sectorsCmd(home, "import", "--repo", repo, "--json").exits(3).readable()
			failed := 0
			for _, line := range r.lines()["sector"] {
				if line["action"] == "failed" {
					failed++
					if reason, _ := line["reason"].(string); reason == "" || line["hint"] == nil {
						t.Errorf("the line has no reason or no hint: %v", line)
					}
				}
			}
			if failed != 1 {
				t.Errorf("%d lines say failed, want 1:\n%s", failed, r.out)
			}
			if got := w.metadata("lotus"); fmt.Sprint(got) != fmt.Sprint(before) {
				t.Error("the repo was changed")
			}
			// what is selected is told from what is not, even beside such a record
			want := 0
			if tt.key == "/sectors/8" {
				want = 3
			}
			w.sectorsCmd(home, "import", "--repo", repo, "--numbers=8,9").exits(want)
			w.sectorsCmd(home, "import", "--repo", repo, "--numbers=9-10").exits(0)
		})
	}
}

// What the repo says of used numbers must be readable: to guess is to use one twice.
func TestBadNumbers(t *testing.T) {
	t.Parallel()
	var cases []complaint
	for key, value := range map[string][]byte{
		"/storage/nextid":                   {0xff},
		"/storage/sectorsids/allocated":     []byte("x"),
		"/storage/sectorsids/reserved":      {},
		"/storage/sectorsids/reserved/mine": {0x41},
	} {
		for command, line := range repoCommands() {
			if command == "rollback" || command == "check" {
				continue // they never touch them
			}
			cases = append(cases, complaint{
				name: command + ", " + key, code: 5, says: []string{key}, hint: "", free: true,
				args: func(w *world) []string {
					w.repo("lotus")
					w.withRepo("lotus", func(db *leveldb.DB) { w.must(db.Put([]byte(key), value, nil)) })
					return line(w, w.path("lotus"))
				},
			})
		}
	}
	check(t, cases)
}
