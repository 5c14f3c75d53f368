package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"

	"damocles-manager/internal/testkit"
)

// fields are those of a line of --json output, by their path, and their kinds.
// A kind that ends in ? may be left out, one with |null may be null. "counts" is
// an object of numbers by name, "record" is damocles's own.
type fields map[string]string

// The contract of --json: what scripts may rely on. Fields may be added;
// none is taken away, renamed or given another kind. docs/json-output.md says
// what they mean.
var (
	runSector = fields{
		"type": "string", "miner": "string", "number": "number", "action": "string", "state": "string?", "upgraded": "bool?",
		"key": "string?", "reason": "string?", "hint": "string?", "differences": "list?", "notes": "list?",
		"differences[].field": "string", "differences[].have": "string", "differences[].want": "string",
		"notes[].code": "string", "notes[].text": "string",
	}
	runSummary = fields{
		"type": "string", "written": "number", "unchanged": "number", "conflicts": "number", "unfinished": "number",
		"failed": "number", "missing": "number", "skipped": "counts?", "notes": "counts?", "upgraded": "number", "dryRun": "bool",
		"numbers": "object", "numbers.last": "number|null", "numbers.was": "number|null", "numbers.written": "bool",
		"numbers.gapsClosed": "number", "numbers.configLines": "string?", "backup": "string?", "journal": "string?",
	}
	runStore = fields{
		"type": "string", "name": "string", "path": "string", "id": "string?", "action": "string", "reason": "string?", "sectors": "number",
		"section": "string?", "notes": "list?", "notes[].code": "string", "notes[].text": "string",
		"problems": "list?", "problems[].text": "string", "problems[].hint": "string?",
	}
	storesSummary = fields{
		"type": "string", "entered": "number", "unchanged": "number", "skipped": "number", "refused": "number", "dryRun": "bool",
		"journal": "string?",
	}
	listSector = fields{
		"type": "string", "miner": "string", "number": "number", "workspace": "string", "finalized": "bool", "removed": "bool",
		"upgraded": "bool", "needRebuild": "bool", "unsealing": "bool", "imported": "bool",
	}
	listSummary = fields{"type": "string", "count": "number", "leftOut": "counts?", "broken": "number?"}
	stateLine   = fields{
		"type": "string", "miner": "string", "number": "number", "workspace": "string", "state": "record|null", "raw": "string?",
	}
	versionFields = fields{
		"type": "string", "version": "string", "revision": "string", "dirty": "bool", "go": "string", "platform": "string",
	}
	stateSummary = fields{"type": "string", "count": "number"}
	keyLine      = fields{"type": "string", "store": "string", "key": "string", "action": "string", "reason": "string?"}
	undoSummary  = fields{
		"type": "string", "restored": "number", "deleted": "number", "already": "number", "kept": "number", "numbers": "number",
		"dryRun": "bool", "undone": "string", "backup": "string?", "journal": "string?",
	}
	attachStore = fields{
		"type": "string", "name": "string", "path": "string", "strict": "bool", "readOnly": "bool", "configured": "bool",
		"section": "string?", "unreadable": "number?",
	}
	locationLine = fields{
		"type": "string", "miner": "string", "number": "number", "upgrade": "bool", "files": "list",
		"files[].kind": "string", "files[].store": "string", "files[].known": "bool", "files[].path": "string?",
		"files[].there": "bool?", "files[].reason": "string?",
	}
	listStore = fields{
		"type": "string", "name": "string", "path": "string", "fileSystem": "string?", "strict": "bool", "readOnly": "bool",
		"weight": "number", "total": "number", "free": "number", "used": "number", "usedPercent": "number", "reserved": "number",
		"reservedBy": "list?", "reservedBy[].by": "string", "reservedBy[].size": "number", "reservedBy[].at": "string",
		"error": "string?",
	}
	countSummary = fields{"type": "string", "count": "number"}
	entryFields  = fields{
		"type": "string", "miner": "string?", "number": "number?", "action": "string?", "store": "string?", "path": "string?",
		"time": "string?", "why": "string?", "who": "string?", "bytes": "number", "files": "list?", "files[].kind": "string",
		"files[].path": "string", "files[].bytes": "number", "files[].at": "string", "reason": "string?", "hint": "string?",
		"left": "list?",
	}
	quarantineSum = fields{"type": "string", "count": "number", "bytes": "number", "broken": "number"}
	purgeSummary  = fields{
		"type": "string", "dryRun": "bool", "purged": "number", "bytes": "number", "kept": "number", "younger": "number",
		"failed": "number", "missing": "number",
	}
	restoreSummary = fields{"type": "string", "dryRun": "bool", "restored": "number", "failed": "number", "missing": "number"}

	checkSector = fields{
		"type": "string", "miner": "string", "number": "number", "verdict": "string", "upgraded": "bool", "commR": "string?",
		"commRFrom": "string", "deadline": "number?", "partition": "number?", "replica": "string?", "cache": "string?",
		"reused": "bool", "findings": "list", "findings[].name": "string", "findings[].file": "string",
		"findings[].offset": "number", "findings[].text": "string", "omitted": "number?",
	}
	checkDifference = fields{
		"type": "string", "code": "string", "miner": "string?", "number": "number?", "deadline": "number?", "partition": "number?",
		"path": "string?", "text": "string", "hint": "string?",
	}
	checkDeadline = fields{
		"type": "string", "miner": "string", "deadline": "number", "partition": "number", "sectors": "number", "faulty": "number",
		"recovering": "number", "provable": "number", "undecided": "number", "notProvable": "number", "differences": "number",
		"opens": "number", "epoch": "number", "open": "bool", "opensIn": "number",
	}
	checkSum = fields{
		"type": "string", "plan": "string", "verdict": "string", "sectors": "number", "provable": "number", "undecided": "number",
		"notProvable": "number", "reused": "number", "skipped": "counts?", "differences": "counts?", "commR": "counts",
		"randomness": "string?",
	}
	sealingFields = fields{
		"type": "string", "system": "string", "miner": "string?", "number": "number?", "key": "string?", "state": "string?",
		"reason": "string?",
	}
	sealingSum = fields{"type": "string", "systems": "list", "sectors": "number", "broken": "number", "missing": "list?"}
	fileLine   = fields{
		"type": "string", "miner": "string", "number": "number", "kind": "string", "action": "string", "from": "string?",
		"to": "string", "bytes": "number", "reason": "string?",
	}
	filesSector = fields{
		"type": "string", "miner": "string", "number": "number", "action": "string", "state": "string?", "upgraded": "bool?",
		"reason": "string?", "hint": "string?", "notes": "list?", "notes[].code": "string", "notes[].text": "string",
		"bytes": "number?", "renamed": "bool?", "left": "list?",
	}
	filesSummary = fields{
		"type": "string", "dryRun": "bool", "moved": "number", "copied": "number", "good": "number", "unchanged": "number",
		"failed": "number", "unknown": "number", "unhashed": "number?", "unfinished": "number", "skipped": "counts?", "missing": "number",
		"renamed": "number", "files": "number", "bytes": "number", "left": "number", "manifest": "string?", "journal": "string?",
	}

	demoStepLine = fields{
		"type": "string", "step": "number", "title": "string", "seconds": "number",
		"commands": "list", "commands[].args": "list", "commands[].exit": "number",
		"compared": "list", "compared[].what": "string", "compared[].same": "number",
	}
	demoTryLine = fields{"type": "string", "line": "string", "exit": "number"}
	demoSum     = fields{
		"type": "string", "steps": "number", "commands": "number", "sectors": "number", "seconds": "number",
		"compared": "list", "compared[].what": "string", "compared[].same": "number", "directory": "string?",
	}

	serving    = fields{"type": "string", "home": "string", "url": "string", "open": "bool"}
	servingSum = fields{"type": "string", "seconds": "number"}

	contract = map[string]map[string]fields{
		"import":                     {"sector": runSector, "store": runStore, "summary": runSummary},
		"export metadata":            {"sector": runSector, "summary": runSummary},
		"finalize":                   {"sector": runSector, "summary": runSummary},
		"list":                       {"sector": listSector, "summary": listSummary},
		"state":                      {"state": stateLine, "summary": stateSummary},
		"import rollback":            {"key": keyLine, "summary": undoSummary},
		"export stores":              {"store": runStore, "summary": storesSummary},
		"export rollback":            {"key": keyLine, "summary": undoSummary},
		"storage attach":             {"sector": runSector, "store": attachStore, "summary": runSummary},
		"storage find":               {"location": locationLine, "summary": countSummary},
		"storage list":               {"store": listStore, "summary": countSummary},
		"storage quarantine list":    {"entry": entryFields, "summary": quarantineSum},
		"storage quarantine purge":   {"entry": entryFields, "summary": purgeSummary},
		"storage quarantine restore": {"entry": entryFields, "summary": restoreSummary},
		"--version":                  {"version": versionFields, "summary": stateSummary},
		"check": {
			"sector": checkSector, "difference": checkDifference, "deadline": checkDeadline, "summary": checkSum,
		},
		"check --sealing-done": {"sealing": sealingFields, "summary": sealingSum},
		"export files":         {"file": fileLine, "sector": filesSector, "summary": filesSummary},
		"daemon run":           {"serving": serving, "summary": servingSum},
		"demo":                 {"step": demoStepLine, "try": demoTryLine, "summary": demoSum},
	}

	// actions are the words in the field action.
	actions = map[string][]string{
		"sector": {
			"written", "would-write", "unchanged", "conflict", "unfinished", "skipped", "failed", "missing",
			"noted", "moved", "copied", "would-move", "would-copy", "checked",
		},
		"file":  {"move", "copy", "would-move", "would-copy", "skip", "good", "bad", "unknown"},
		"key":   {"restored", "deleted", "already", "kept", "number"},
		"store": {"entered", "would-enter", "unchanged", "printed", "skipped", "refused"},
		"entry": {"purged", "would-purge", "restored", "would-restore", "kept", "failed", "missing"},
	}
)

// jsonCheck holds lines against the contract, and notes what it has seen of it.
type jsonCheck struct {
	t    *testing.T
	seen map[string]bool // "sector.notes[].code" of the commands that share a table
}

// lines checks the whole stdout of a command that has finished.
func (c *jsonCheck) lines(command string, r *result) {
	c.t.Helper()
	var last string
	summaries := 0
	in := bufio.NewScanner(strings.NewReader(r.out))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		last = c.line(command, in.Text())
		if last == "summary" {
			summaries++
		}
	}
	if last != "summary" || summaries != 1 || !strings.HasSuffix(r.out, "\n") {
		c.t.Errorf("%s\ndoes not close with one summary:\n%s", r.args, r.out)
	}
}

func (c *jsonCheck) line(command, text string) (kind string) {
	c.t.Helper()
	var line map[string]any
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		c.t.Errorf("%s: %v: %s", command, err, text)
		return ""
	}
	kind, _ = line["type"].(string)
	want, ok := contract[command][kind]
	if !ok {
		c.t.Errorf("%s: a line of the unknown type %q: %s", command, kind, text)
		return kind
	}
	got := map[string]string{}
	flatten("", line, want, got)
	for path, is := range got {
		c.field(want, command+" "+kind+" "+path, path, is)
	}
	for path, must := range want {
		parent, _, nested := cutLast(path)
		if _, ok := got[path]; !ok && !strings.HasSuffix(must, "?") && (!nested || got[parent] != "") {
			c.t.Errorf("%s %s: the field %s is not there: %s", command, kind, path, text)
		}
	}
	if words := actions[kind]; line["action"] != nil && !slices.Contains(words, fmt.Sprint(line["action"])) {
		c.t.Errorf("%s %s: the action %v is none of %v", command, kind, line["action"], words)
	}
	return kind
}

// cutLast cuts "notes[].code" into the list's items and the field, "numbers.last" likewise.
func cutLast(path string) (parent, name string, nested bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

func (c *jsonCheck) field(want fields, what, path, is string) {
	c.t.Helper()
	if strings.HasSuffix(path, "[]") {
		return // an item; its fields are looked at on their own
	}
	must, ok := want[path]
	if !ok {
		c.t.Errorf("%s: the contract has no such field", what)
		return
	}
	c.seen[fmt.Sprintf("%p %s", want, path)] = true
	must = strings.TrimSuffix(must, "?")
	base, nullable := strings.CutSuffix(must, "|null")
	if is != base && (!nullable || is != "null") {
		c.t.Errorf("%s is %s, want %s", what, is, must)
	}
}

// flatten gives the kind of every field by its path.
func flatten(path string, v any, want fields, out map[string]string) {
	kind := "null"
	base, _ := strings.CutSuffix(strings.TrimSuffix(want[path], "?"), "|null")
	switch v := v.(type) {
	case string:
		kind = "string"
	case float64:
		kind = "number"
	case bool:
		kind = "bool"
	case []any:
		kind = "list"
		for _, item := range v {
			flatten(path+"[]", item, want, out)
		}
	case map[string]any:
		kind = objectKind(path, base, v, want, out)
	}
	if path != "" {
		out[path] = kind
	}
}

func objectKind(path, base string, v map[string]any, want fields, out map[string]string) string {
	switch base {
	case "record":
		return base
	case "counts":
		for _, n := range v {
			if _, ok := n.(float64); !ok {
				return "object"
			}
		}
		return base
	}
	for name, value := range v {
		at := name
		if path != "" {
			at = path + "." + name
		}
		flatten(at, value, want, out)
	}
	return "object"
}

// all checks that every field of the contract was seen.
func (c *jsonCheck) all() {
	c.t.Helper()
	for _, command := range slices.Sorted(maps.Keys(contract)) {
		for kind, want := range contract[command] {
			for path := range want {
				if !c.seen[fmt.Sprintf("%p %s", want, path)] {
					c.t.Errorf("%s %s: no output has the field %s", command, kind, path)
				}
			}
		}
	}
}

// Every command's --json output keeps the contract, and all of the contract is
// seen in some output.
func TestJSONContract(t *testing.T) {
	t.Parallel()
	c := &jsonCheck{t: t, seen: map[string]bool{}}
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")

	importing := func(code int, args ...string) *result {
		t.Helper()
		r := w.sectorsCmd(home, append([]string{"import", "--json", "--repo", repo}, args...)...).exits(code)
		c.lines("import", r)
		return r
	}
	importing(3, "--dry-run")
	importing(3, "--numbers", "0-31,99")
	w.mutateSector("lotus", 8, func(b []byte) []byte {
		return []byte(strings.Replace(string(b), "\x4c\x72\x25\x61", "\x4c\x72\x25\x62", 1))
	})
	w.mutateSector("lotus", 7, func(b []byte) []byte { return b[:len(b)/2] })
	w.withRepo("lotus", func(db *leveldb.DB) {
		if err := db.Put([]byte("/sectors/abc"), []byte("?"), nil); err != nil {
			t.Fatal(err)
		}
	})
	importing(3)
	imported := importing(3, "--override").lines()["summary"][0]["journal"].(string)

	w.emptyRepo("dest")
	exporting := func(code int, args ...string) *result {
		t.Helper()
		r := w.export(home, w.path("dest"), append([]string{"--json"}, args...)...).exits(code)
		c.lines("export metadata", r)
		return r
	}
	exporting(0, "--dry-run")
	exported := exporting(0).lines()["summary"][0]["journal"].(string)
	exporting(0, "--next-number", "50", "--only-next-number")
	w.withRepo("dest", func(db *leveldb.DB) {
		if err := db.Delete([]byte("/sectors/0"), nil); err != nil {
			t.Fatal(err)
		}
	})
	for _, args := range [][]string{{"--dry-run"}, {"--backup", exported}} {
		args = append([]string{"export", "--miner", "1000", "rollback", "--json", "--dest-repo", w.path("dest")}, args...)
		c.lines("export rollback", w.sectorsCmd(home, args...))
	}

	c.lines("import rollback", w.sectorsCmd(home, "import", "rollback", "--json", "--dry-run").exits(0))
	c.lines("import rollback", w.sectorsCmd(home, "import", "rollback", "--json", "--backup", imported).exits(0))

	fixture := w.home("fixture")
	c.lines("finalize", w.sectorsCmd(fixture, "finalize", "--json", "--without-chain", "--miner", "1000", "--really-do-it", "100", "117", "118", "999").exits(3))
	for _, args := range [][]string{{}, {"--offline"}, {"--offline", "--snapup", "--rebuild", "--unseal"}} {
		c.lines("list", w.sectorsCmd(fixture, append([]string{"list", "--json"}, args...)...).exits(0))
	}
	c.lines("state", w.sectorsCmd(fixture, "state", "--json", "1000", "110").exits(0))
	w.set(fixture, "offline_meta", offlineKey(101), "{")
	c.lines("list", w.sectorsCmd(fixture, "list", "--json", "--offline").exits(3))
	c.lines("state", w.sectorsCmd(fixture, "state", "--json", "1000", "101").exits(0))

	c.lines("--version", w.run("--version", "--json").exits(0))

	// a run that comes to no end has no summary
	for _, r := range []*result{
		w.sectorsCmd(fixture, "state", "--json", "1000", "999").exits(1),
		w.sectorsCmd(w.path("none"), "list", "--json").exits(1),
		w.sectorsCmd(fixture, "finalize", "--json", "--miner", "1000", "117").exits(2),
	} {
		if r.out != "" {
			t.Errorf("%s prints %s", r.args, r.out)
		}
	}
	jsonOfDaemon(t, c)
	jsonOfOurDaemon(t, c)
	jsonOfStorage(t, c)
	jsonOfQuarantine(t, c)
	jsonOfStores(t, c)
	jsonOfFiles(t, c)
	jsonOfCheck(t, c)
	jsonOfDemo(t, c)
	c.all()
}

func jsonOfDaemon(t *testing.T, c *jsonCheck) {
	t.Helper()
	w := newWorld(t)
	repo := w.repo("lotus")
	w.daemon(testkit.DamoclesOptions{})
	c.lines("import", w.cmd("import", "--json", "--repo", repo).exits(3))
	c.lines("finalize", w.cmd("finalize", "--json", "--miner", "1000", "--really-do-it", "117", "999").exits(3))
	c.lines("list", w.cmd("list", "--json", "--offline").exits(0))
	c.lines("state", w.cmd("state", "--json", "1000", "117").exits(0))
	w.emptyRepo("dest")
	w.withRepo("dest", func(db *leveldb.DB) {
		if err := db.Put([]byte("/storage/nextid"), []byte{5}, nil); err != nil {
			t.Fatal(err)
		}
	})
	c.lines("export metadata", w.cmd("export", "--miner", "1000", "metadata", "--json", "--dest-repo", w.path("dest")).exits(3))
}

func jsonOfOurDaemon(t *testing.T, c *jsonCheck) {
	t.Helper()
	w := newWorld(t)
	d := w.serves(w.storedHome(), "--json")
	d.ends()
	out, _ := d.text()
	c.lines("daemon run", &result{t: t, args: "daemon run --json", out: out})
}

func jsonOfStorage(t *testing.T, c *jsonCheck) {
	t.Helper()
	w := newWorld(t)
	home := w.homeWithStores("home")
	lotus := w.store("lotus-1")
	w.must(os.WriteFile(lotus+"/sealed/junk", nil, 0o600))
	c.lines("storage attach", w.attach(home, "--json", "--dry-run", "--name", "l1", lotus).exits(3))
	c.lines("storage attach", w.attach(home, "--json", "--name", "l1", lotus).exits(3))
	c.lines("storage attach", w.attach(home, "--json", "--pattern", "none", w.store("damocles-1")).exits(3))
	c.lines("storage find", w.storage(home, "find", "--json", "1000", "103").exits(0))
	w.must(os.RemoveAll(w.store("damocles-2")))
	c.lines("storage find", w.storage(home, "find", "--json", "1000", "103").exits(3))
	c.lines("storage find", w.storage(home, "find", "--json", "1000", "2").exits(3))
	w.set(home, "common", "objstore/StoreReserveSummary",
		`{"Stats":{"t01000_01":{"ReservedSize":2048,"Reserved":{"s-t01000-9":{"By":"s-t01000-9","Size":2048,"At":1700000000}}}}}`)
	c.lines("storage list", w.storage(home, "list", "--json").exits(3))

	c.seen[fmt.Sprintf("%p unreadable", attachStore)] = true // TestAttachUnreadable, which needs root
	daemon := newWorld(t)
	daemon.daemon(testkit.DamoclesOptions{}).ServeStores(t, "")
	c.lines("storage find", daemon.run("util", "storage", "find", "--json", "1000", "103").exits(0))
	c.lines("storage list", daemon.run("util", "storage", "list", "--json").exits(0))
}

func jsonOfQuarantine(t *testing.T, c *jsonCheck) {
	t.Helper()
	w := newWorld(t)
	home := w.homeWithStores("home")
	quarantined := func(code int, command string, args ...string) {
		t.Helper()
		c.lines("storage quarantine "+command, w.quarantined(home, append([]string{command, "--json"}, args...)...).exits(code))
	}
	quarantined(0, "list")
	w.removes(home, 8*day, 103)
	w.aside(8*day, 104, 110)
	w.must(os.WriteFile(oneEntry(t, w)+"/notes", nil, 0o600))
	w.must(os.Mkdir(w.store("damocles-1")+"/quarantine/junk", 0o700))
	quarantined(3, "list")
	quarantined(3, "restore", "--dry-run", "1000", "110", "999")
	quarantined(0, "restore", "1000", "110")
	chain := []string{"--chain", nothingOnChain(t), "--miner=1000", "--numbers=103-105"}
	quarantined(3, "purge", append(chain, "--dry-run")...)
	quarantined(3, "purge", append(chain, "--really-do-it")...)
}

func jsonOfStores(t *testing.T, c *jsonCheck) {
	t.Helper()
	w := newWorld(t)
	home, repo := w.homeWithStores("home"), w.repoWithStores("lotus")
	w.must(os.RemoveAll(w.store("lotus-2")))
	c.lines("import", w.sectorsCmd(home, "import", "--json", "--repo", repo, "--with-stores", "--dry-run").exits(3))
	w.addConfig(home, "[[Common.PersistStores]]\nName = \"lotus\"\nPath = \""+w.store("lotus-1")+"\"\n")
	for _, kind := range []string{"sealed", "cache", "update", "update-cache"} {
		w.must(os.RemoveAll(w.store("lotus-1") + "/" + kind))
	}
	for _, dry := range [][]string{{"--dry-run"}, nil, nil} {
		c.lines("export stores", w.storesCmd(home, repo, append([]string{"--json"}, dry...)...).exits(0))
	}
	c.lines("export rollback", w.rollbackStores(home, repo, "--json").exits(0))
}

func jsonOfFiles(t *testing.T, c *jsonCheck) {
	t.Helper()
	w := newWorld(t)
	home, target := w.homeWithStores("home"), w.path("dest")
	w.must(os.Truncate(w.store("damocles-1")+"/sealed/s-t01000-104", 7))
	w.must(os.WriteFile(w.store("damocles-1")+"/cache/s-t01000-100/notes.json", nil, 0o600))
	files := func(code int, args ...string) *result {
		t.Helper()
		r := w.files(home, target, append([]string{"--json"}, args...)...).exits(code)
		c.lines("export files", r)
		return r
	}
	files(3, "--dry-run", "--numbers=0-200")
	files(3, "--dry-run", "--reserve")
	files(3, "--chain="+testkit.Chain(t, testkit.ChainOptions{}).URL, "--dry-run")
	files(0, "--reserve", "--numbers=100-101")
	files(0, "--numbers=100-103")
	moved := files(3).lines()["summary"][0]["journal"].(string)
	files(3, "--verify-only", "--numbers=100-104")
	undo := []string{"export", "--miner=1000", "rollback", "--json", "--backup", moved}
	c.lines("export files", w.sectorsCmd(home, append(undo, "--dry-run")...).exits(0))
	c.lines("export files", w.sectorsCmd(home, undo...).exits(0))
	files(0, "--reserve", "--numbers=105")
	w.must(os.Remove(target + "/sealed/s-t01000-105"))
	w.set(home, "sector-index", "sector-upgrade/m-1000-n-110", "nowhere")
	files(3, "--verify-only", "--numbers=105,110")
}

func jsonOfCheck(t *testing.T, c *jsonCheck) {
	t.Helper()
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.must(os.Truncate(w.store("damocles-1")+"/sealed/s-t01000-100", 5))
	w.must(os.WriteFile(w.store("damocles-1")+"/sealed/s-t01000-999", nil, 0o600))
	w.must(os.Remove(w.store("damocles-1") + "/cache/s-t01000-102/t_aux"))
	c.lines("check", w.checkHome(home, "--json").exits(4))
	c.lines("check", w.checkHome(home, "--json", "--chain", w.chain(testkit.ChainOptions{}, testkit.Proving{Faulty: []uint64{101}})).exits(4))
	c.lines("check", w.checkHome(home, "--json", "--full", "--numbers", "122,777").exits(3))
	c.seen[fmt.Sprintf("%p omitted", checkSector)] = true // only large sectors have so many places

	c.lines("check --sealing-done", w.checkHome(home, "--json", "--sealing-done", "--numbers", "100").exits(0))
	w.set(home, "offline_meta", offlineKey(101), "{")
	w.set(home, "offline_meta", "sector-states-offline/m-1000-n-x", "{}")
	for line := range strings.Lines(w.checkHome(home, "--json", "--sealing-done").exits(5).out) {
		c.line("check --sealing-done", strings.TrimSpace(line))
	}
	c.lines("check --sealing-done", w.checkHome(home, "--json", "--sealing-done", "--numbers", "100,999").exits(3))
	c.lines("check --sealing-done", w.checkHome(home, "--json", "--sealing-done", "--numbers", "101").exits(3))
}

func jsonOfDemo(t *testing.T, c *jsonCheck) {
	t.Helper()
	w := newWorld(t)
	w.env["TMPDIR"] = w.dir
	for _, args := range [][]string{{"demo", "--json"}, {"demo", "--json", "--keep"}} {
		c.lines("demo", w.run(args...).exits(0))
	}
}

// The manual names every field, and its examples keep the contract.
func TestJSONManual(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(testkit.Fixture(t, ".."), "..", "docs", "json-output.md"))
	if err != nil {
		t.Fatal(err)
	}
	c := &jsonCheck{t: t, seen: map[string]bool{}}
	for command, kinds := range contract {
		section := sectionOf(t, string(raw), command)
		examples := map[string]int{}
		for line := range strings.Lines(section) {
			if strings.HasPrefix(line, "{") {
				examples[c.line(command, line)]++
			}
		}
		for kind, want := range kinds {
			if examples[kind] == 0 {
				t.Errorf("%s: no example of a line %s", command, kind)
			}
			for path := range want {
				_, name, _ := cutLast(path)
				if !strings.Contains(string(raw), "`"+name+"`") {
					t.Errorf("the manual does not name the field %s of %s %s", name, command, kind)
				}
			}
		}
	}
	for _, words := range actions {
		for _, word := range words {
			if !strings.Contains(string(raw), "`"+word+"`") {
				t.Errorf("the manual does not name the action %s", word)
			}
		}
	}
}

// sectionOf is what stands below the heading of a command.
func sectionOf(t *testing.T, manual, command string) string {
	t.Helper()
	_, after, ok := strings.Cut(manual, "\n## "+command+"\n")
	if !ok {
		t.Fatalf("the manual has no section %s", command)
	}
	section, _, _ := strings.Cut(after, "\n## ")
	return section
}
