package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/testkit"
)

func results(method, result string) map[string]json.RawMessage {
	return map[string]json.RawMessage{method: json.RawMessage(result)}
}

// The fixture's answer was taken at another time than the fixture's output, so
// that the sizes differ.
func TestStorageListThroughDaemon(t *testing.T) {
	w := newWorld(t)
	w.daemon(testkit.DamoclesOptions{}).ServeStores(t, "")
	r := w.run("util", "storage", "list").exits(0)
	want := strings.NewReplacer("63.42GiB", "71.93GiB", "27.65GiB", "19.14GiB", "30.36%", "21.02%").Replace(printed(t, "storage-list.txt"))
	if r.out != want {
		t.Errorf("got\n%s\nwant\n%s", r.out, want)
	}
}

func TestStorageListReserved(t *testing.T) {
	w := newWorld(t)
	at := time.Now().Add(-time.Hour).Unix()
	w.daemon(testkit.DamoclesOptions{Options: testkit.Options{Results: results("Venus.StoreList", fmt.Sprintf(
		`[{"Name":"a","Path":"/a","Weight":2,"ReadOnly":true,"Type":"xfs","Total":1099511627776,"Reserved":34359738368,`+
			`"ReservedBy":[{"By":"s-t01000-9","Size":34359738368,"At":%d}]}]`, at))}}).ServeStores(t, "")
	w.run("util", "storage", "list").exits(0).says("a:\n\tPath: /a\n\tType: xfs\n\tReadOnly: true\n\tWeight: 2\n\tTotal: 1TiB\n\tFree: 0B\n",
		"\tReserved: 32GiB\n\tReserved Items:\n\t\t#0: s-t01000-9, 32GiB, 1h0m", "s ago\n")
	none := newWorld(t)
	none.daemon(testkit.DamoclesOptions{Options: testkit.Options{Results: results("Venus.StoreList", `[]`)}}).ServeStores(t, "")
	none.run("util", "storage", "list").exits(0).says("No Stores\n")
}

// From a home the same lines come, with the figures of the disk as it is now.
func TestStorageListOfHome(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.set(home, "common", "objstore/StoreReserveSummary",
		`{"Stats":{"t01000_02":{"ReservedSize":2048,"Reserved":{"s-t01000-9":{"By":"s-t01000-9","Size":2048,"At":1700000000}}},"x":null}}`)
	r := w.storage(home, "list").exits(0).says("t01000_01:\n\tPath: "+w.store("damocles-1")+"\n", "\tReserved: 2KiB\n\tReserved Items:\n\t\t#0: s-t01000-9, 2KiB, ")
	figures := regexp.MustCompile(`(?m)^(\t(Path|Type|Total|Free|Used|UsedPercent|Reserved): ).*$|\n\tReserved Items:\n.*`)
	if got, want := figures.ReplaceAllString(r.out, "$1"), figures.ReplaceAllString(printed(t, "storage-list.txt"), "$1"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	line := w.storage(home, "list", "--json").exits(0).lines()["store"][0]
	total, free, used := line["total"].(float64), line["free"].(float64), line["used"].(float64)
	if total <= 0 || free <= 0 || free+used > total {
		t.Errorf("of %v bytes %v are used and %v free", total, used, free)
	}
	if kind, _ := line["fileSystem"].(string); kind == "" {
		t.Error("the file system has no name")
	}
}

func TestStorageListBroken(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.must(os.RemoveAll(w.store("damocles-2")))
	w.set(home, "common", "objstore/StoreReserveSummary", `{`)
	w.addConfig(home, "[[Common.PersistStores]]\nName = \"far\"\nPath = \"bucket\"\nPlugin = \"s3\"\nWeight = 3")
	w.storage(home, "list").exits(3).
		says("t01000_01:", "Total: ", "\tError: statfs "+w.store("damocles-2")+": no such file or directory", `kept by the plugin "s3"`, "read what is reserved")

	none := w.emptyHome("none")
	w.storage(none, "list").exits(0).says("No Stores\n")
	w.must(os.WriteFile(filepath.Join(none, "sector-manager.cfg"), []byte("[Common]\nScanPersistStores = [\""+w.stores()+"/*\"]\n"), 0o600))
	w.storage(none, "list").exits(0).says("4e34aa51-e955-4542-bd3a-6da3befc15a4:\n\tPath: "+w.store("lotus-1"), "\tWeight: 10\n").never("damocles-1")
}
