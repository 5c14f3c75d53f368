package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v2"
	"github.com/syndtr/goleveldb/leveldb"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"damocles-manager/internal/cli"
	"damocles-manager/internal/testkit"
)

// What the manual says, and what stands for it here.
const (
	chainInManual = "/ip4/127.0.0.1/tcp/1234/http"
	serveInManual = "127.0.0.1:1789"
	worldVar      = "MANUAL_WORLD"  // the directory of the world, for the stand-ins
	listenVar     = "MANUAL_LISTEN" // where the world's damocles-manager listens
)

var lotusAddr = regexp.MustCompile(`the lotus-miner at http://127\.0\.0\.1:\d+`)

// reader is the machine of somebody who reads the manual: /root, /storage and
// /backup below a temporary directory, and programs that run or do not.
type reader struct {
	t        *testing.T
	dir      string
	nowhere  string       // an address where nothing listens
	pruned   atomic.Bool  // see world "sealed"
	only     atomic.Value // "lotus" or "damocles": the one whose sectors are on chain
	chain    *testkit.Server
	services map[string]func() // those that run, and how to end each
	listen   string            // where the running damocles-manager listens
	unit     string            // what the unit damocles-manager runs; empty for the original's stand-in
	env      []string
}

// markedByDamocles is what its gen-sectorstore-json writes.
const markedByDamocles = `{
	"ID": "6df11a94-4f04-4070-9ccd-54618e5e390d",
	"Name": "",
	"Path": "",
	"Meta": null,
	"Strict": true,
	"ReadOnly": false,
	"Weight": 1,
	"AllowMiners": [],
	"DenyMiners": [],
	"Plugin": "",
	"PluginName": ""
}`

// worlds are what a remark in a document may ask for.
var worlds = map[string]func(w *reader){
	// a provider with lotus-miner, some sectors not finished; no damocles home
	"lotus-first": func(w *reader) {
		w.fresh()
		w.only.Store("lotus")
		w.fixture("lotusminer", "root/.lotusminer")
		w.start("lotus-miner")
	},
	// a provider with damocles, who has no lotus-miner repo yet
	"damocles-first": func(w *reader) {
		w.fresh()
		w.only.Store("damocles")
		w.fixture("lotusminer", "made-by-init")
		w.must(os.WriteFile(w.path("made-by-init/storage.json"), []byte(`{"StoragePaths":null}`), 0o600))
		w.prune("made-by-init", all(32))
		w.fixture("damocles-home", "root/.damocles-manager")
		w.start("damocles-manager")
	},
	// damocles has marked a store with a sectorstore.json of its own
	"marked": func(w *reader) {
		w.must(os.WriteFile(w.path("storage/damocles-1/sectorstore.json"), []byte(markedByDamocles), 0o644))
	},
	// lotus-miner was made by init before, and does not run
	"initialized": func(w *reader) {
		w.must(os.Rename(w.path("made-by-init"), w.path("root/.lotusminer")))
	},
	// the sealing has been waited for, and what is lost or terminated is gone
	"sealed": func(w *reader) { w.seal() },
	// damocles's home without a program that serves it; the unit damocles-manager is our own
	"served": func(w *reader) {
		w.fresh()
		w.fixture("damocles-home", "root/.damocles-manager")
		w.must(os.MkdirAll(w.path("storage/store-1"), 0o755))
		w.unit = "damocles-manager daemon run --chain " + chainInManual
	},
	// both, stopped, with a chain node in the environment
	"readme": func(w *reader) {
		w.fresh()
		w.fixture("lotusminer", "root/.lotusminer")
		w.fixture("damocles-home", "root/.damocles-manager")
		w.seal()
		w.must(os.MkdirAll(w.path("storage/store1/sealed"), 0o755))
		w.env = []string{"FULLNODE_API_INFO=" + w.chain.Multiaddr()}
	},
}

// The sectors that the world "sealed" is without, and those that have moved on in it.
var (
	finalizing           = []int{30}
	unfinishedInLotus    = []int{23, 25, 26}
	unfinishedInDamocles = []int{113, 115, 118}
)

func newReader(t *testing.T) *reader {
	t.Helper()
	w := &reader{t: t, services: map[string]func(){}, nowhere: testkit.Nowhere(t)}
	w.chain = testkit.ProvingChain(t, testkit.ChainOptions{Sector: w.onChain}, testkit.Proving{})
	t.Cleanup(w.stopAll)
	return w
}

// onChain says which sectors of the fixtures this world's chain does not have.
func (w *reader) onChain(_, number uint64) (json.RawMessage, bool) {
	n := int(number)
	gone := w.pruned.Load() && slices.Contains(append(unfinishedInLotus, unfinishedInDamocles...), n)
	only, _ := w.only.Load().(string)
	return nil, gone || (only == "lotus" && n >= 100) || (only == "damocles" && n < 100)
}

func hostOf(s *testkit.Server) string {
	_, after, _ := strings.Cut(s.URL, "://")
	host, _, _ := strings.Cut(after, "/")
	return host
}

func (w *reader) become(name string) {
	w.t.Helper()
	world, ok := worlds[name]
	if !ok {
		w.t.Fatalf("no such world: %s", name)
	}
	world(w)
}

// fresh starts over in a new directory.
func (w *reader) fresh() {
	w.t.Helper()
	w.stopAll()
	w.pruned.Store(false)
	w.only.Store("")
	w.unit = ""
	w.dir = memoryDir(w.t)
	w.t.Cleanup(w.stopAll) // before the directory goes
	for _, dir := range []string{"root", "backup", "running"} {
		w.must(os.Mkdir(w.path(dir), 0o755))
	}
	w.must(os.CopyFS(w.path("storage"), os.DirFS(testkit.Fixture(w.t, "switch-2k/storage"))))
}

// memoryDir is a temporary directory, in memory where there is one.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "damocles-manager-manual") //nolint:usetesting // t.TempDir is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (w *reader) path(name string) string { return filepath.Join(w.dir, name) }

func (w *reader) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// fixture copies a repo or a home, and lets it name the world's stores.
func (w *reader) fixture(name, to string) {
	w.t.Helper()
	w.must(os.CopyFS(w.path(to), os.DirFS(testkit.Fixture(w.t, "switch-2k/"+name))))
	for _, file := range []string{"storage.json", "sector-manager.cfg"} {
		path := filepath.Join(w.path(to), file)
		raw, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		w.must(err)
		w.must(os.WriteFile(path, []byte(strings.ReplaceAll(string(raw), `"/storage/`, `"`+w.path("storage")+`/`)), 0o600))
	}
}

// seal takes out the sectors that are not finished.
func (w *reader) seal() {
	w.t.Helper()
	running := slices.Collect(maps.Keys(w.services))
	w.stopAll()
	w.pruned.Store(true)
	for path, numbers := range map[string][]int{
		"root/.lotusminer":       unfinishedInLotus,
		"root/.damocles-manager": unfinishedInDamocles,
	} {
		if !w.has(path) {
			continue
		}
		for _, n := range numbers {
			files, err := filepath.Glob(w.path(fmt.Sprintf("storage/*/*/s-t01000-%d", n)))
			w.must(err)
			for _, file := range files {
				w.must(os.RemoveAll(file))
			}
		}
		w.prune(path, numbers)
	}
	for _, name := range running {
		w.start(name)
	}
}

// prune takes sectors out of a repo or a home. That is done by another process:
// the lock of an open database must not go on to a child of this one.
func (w *reader) prune(path string, numbers []int) {
	w.t.Helper()
	args := []string{w.path(path)}
	for _, n := range numbers {
		args = append(args, strconv.Itoa(n))
	}
	if out, err := exec.Command("world-prune", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
}

// all are the numbers below n.
func all(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// prune is the command for that: world-prune DIR NUMBER...
func prune() {
	err := errors.Join(
		inLevelDB(os.Args[1], os.Args[2:]),
		inBadger(os.Args[1], "meta", "sector-states/", os.Args[2:]),
		inBadger(os.Args[1], "offline_meta", "sector-states-offline/", os.Args[2:]),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func inLevelDB(repo string, numbers []string) error {
	dir := filepath.Join(repo, "datastore", "metadata")
	if _, err := os.Stat(dir); err != nil {
		return nil //nolint:nilerr // it is a home
	}
	db, err := leveldb.OpenFile(dir, nil)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		err = errors.Join(err, db.Delete([]byte("/sectors/"+n), nil))
	}
	for _, n := range finalizing {
		key := fmt.Appendf(nil, "/sectors/%d", n)
		value, getErr := db.Get(key, nil)
		if errors.Is(getErr, leveldb.ErrNotFound) { // a lotus-miner that was just made
			continue
		}
		proving := bytes.Replace(value, []byte("\x65State\x6eFinalizeSector"), []byte("\x65State\x67Proving"), 1)
		err = errors.Join(err, getErr, db.Put(key, proving, nil))
	}
	return errors.Join(err, db.Close())
}

func inBadger(home, collection, prefix string, numbers []string) error {
	dir := filepath.Join(home, collection)
	if _, err := os.Stat(dir); err != nil {
		return nil //nolint:nilerr // it is a repo
	}
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return err
	}
	err = db.Update(func(txn *badger.Txn) error {
		for _, n := range numbers {
			if err := txn.Delete([]byte(prefix + "m-1000-n-" + n)); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// run runs one command of the manual with a shell, lets the services follow what
// it did, and returns what it printed as the manual would have it.
func (w *reader) run(command string) (int, string) {
	w.t.Helper()
	if w.dir == "" {
		w.t.Fatal("the document says no world before its first command")
	}
	if strings.HasPrefix(command, "damocles-manager ") && strings.Contains(command, " daemon run") {
		return w.serve(command)
	}
	command = strings.NewReplacer(
		serveInManual, w.serving(), chainInManual, w.chain.Multiaddr(),
		" /storage/", " "+w.path("storage")+"/", "=/storage/", "="+w.path("storage")+"/",
		" /root/", " "+w.path("root")+"/", "=/root/", "="+w.path("root")+"/",
		" /backup/", " "+w.path("backup")+"/",
	).Replace(command)
	listen := w.serving()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = w.path("root")
	cmd.Env = append(os.Environ(), "HOME="+w.path("root"), worldVar+"="+w.dir, listenVar+"="+listen)
	cmd.Env = append(cmd.Env, w.env...)
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		w.t.Fatal(err)
	}
	w.follow()
	return cmd.ProcessState.ExitCode(), w.asInManual(string(out))
}

// serving is where the running damocles-manager listens, or where nobody does.
func (w *reader) serving() string {
	if w.listen == "" {
		return w.nowhere
	}
	return w.listen
}

// asInManual puts the manual's names for this world's.
func (w *reader) asInManual(text string) string {
	text = strings.NewReplacer(w.dir+"/", "/", w.chain.Multiaddr(), chainInManual, hostOf(w.chain), "127.0.0.1:1234", w.serving(), serveInManual).Replace(text)
	return lotusAddr.ReplaceAllString(text, "the lotus-miner at http://127.0.0.1:2345")
}

// guess starts or stops lotus-miner for a document that does not say its world:
// it runs where the command asks it.
func (w *reader) guess(command string) {
	w.t.Helper()
	_, runs := w.services["lotus-miner"]
	switch asked := strings.Contains(command, ".lotusminer/api)"); {
	case asked && !runs:
		w.start("lotus-miner")
	case !asked && runs:
		w.must(os.Remove(w.path("running/lotus-miner")))
		w.follow()
	}
}

// toolOrMain is damocles-manager. In a world of the manual its daemon listens at
// another address than on the machine that the test runs on.
func toolOrMain() {
	listen := os.Getenv(listenVar)
	if listen == "" {
		main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := cli.Env{
		Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Listen: listen,
		Terminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	os.Exit(cli.Run(ctx, env, os.Args[1:]))
}

// follow starts and stops what systemctl was told to.
func (w *reader) follow() {
	w.t.Helper()
	for _, name := range []string{"lotus-miner", "damocles-manager"} {
		_, err := os.Stat(w.path("running/" + name))
		switch stop, runs := w.services[name]; {
		case err == nil && !runs:
			w.start(name)
		case err != nil && runs:
			stop()
			delete(w.services, name)
		}
	}
}

func (w *reader) stopAll() {
	for name, stop := range w.services {
		stop()
		delete(w.services, name)
		_ = os.Remove(w.path("running/" + name))
	}
}

func (w *reader) start(name string) {
	w.t.Helper()
	w.must(os.WriteFile(w.path("running/"+name), nil, 0o600))
	switch {
	case name == "lotus-miner":
		w.services[name] = w.startLotus()
	case w.unit != "":
		if code, text := w.serve(w.unit); code != 0 {
			w.t.Fatalf("$ %s\n%s[exit %d]", w.unit, text, code)
		}
	default:
		w.services[name] = w.startDamocles()
	}
}

// startLotus runs lotus-miner's stand-in: its API, with the files that say where
// it is, and its lock on the repo.
func (w *reader) startLotus() (stop func()) {
	w.t.Helper()
	repo := w.path("root/.lotusminer")
	numbers := []int{}
	for n := range 32 {
		if !w.pruned.Load() || !slices.Contains(unfinishedInLotus, n) {
			numbers = append(numbers, n)
		}
	}
	paths := fmt.Sprintf(`{"4e34aa51-e955-4542-bd3a-6da3befc15a4":%q,"0b6a2f0e-7c3d-4e0a-9a51-5a0f4cf0b9d2":%q}`, w.path("storage/lotus-1"), w.path("storage/lotus-2"))
	list, err := json.Marshal(numbers)
	w.must(err)
	states := map[uint64]string{}
	if w.pruned.Load() {
		for _, n := range finalizing {
			states[uint64(n)] = "Proving"
		}
	}
	server := testkit.Lotus(w.t, testkit.LotusOptions{FromRepoJSON: true, States: states, Options: testkit.Options{
		Token:   "its-admin-token",
		Results: map[string]json.RawMessage{"Filecoin.SectorsList": list, "Filecoin.StorageLocal": json.RawMessage(paths)},
	}})
	w.must(os.WriteFile(filepath.Join(repo, "api"), []byte(server.Multiaddr()), 0o600))
	w.must(os.WriteFile(filepath.Join(repo, "token"), []byte("its-admin-token"), 0o600))
	lock, err := os.OpenFile(filepath.Join(repo, "repo.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	w.must(err)
	w.must(unix.FcntlFlock(lock.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	return func() {
		server.Stop()
		_ = lock.Close()
		_ = os.Remove(lock.Name())
		_ = os.Remove(filepath.Join(repo, "api"))
	}
}

// startDamocles runs damocles-manager's stand-in, which holds the home.
func (w *reader) startDamocles() (stop func()) {
	w.t.Helper()
	opts := testkit.DamoclesOptions{Empty: true}
	home := w.path("root/.damocles-manager")
	fixtureHome := w.has("root/.damocles-manager/snapup")
	if fixtureHome {
		for _, path := range testkit.Glob(w.t, "damocles-states/*.json") {
			number, workspace, _ := strings.Cut(filepath.Base(path), "-")
			n, err := strconv.Atoi(number)
			w.must(err)
			raw, err := os.ReadFile(path)
			w.must(err)
			switch {
			case w.pruned.Load() && slices.Contains(unfinishedInDamocles, n):
			case strings.HasPrefix(workspace, "online"):
				opts.Online = append(opts.Online, raw)
			default:
				opts.Offline = append(opts.Offline, raw)
			}
		}
	}
	server := testkit.Damocles(w.t, opts)
	if fixtureHome {
		server.ServeStores(w.t, w.path("storage"))
		server.Calls("") // its lock: what calls is another process, which orders nothing here
	}
	w.listen = hostOf(server.Server)
	w.must(os.MkdirAll(filepath.Join(home, "meta"), 0o700))
	dir, err := os.Open(filepath.Join(home, "meta"))
	w.must(err)
	w.must(syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	return func() {
		server.Stop()
		// said by name: a child that is just being started has the lock, too
		_ = syscall.Flock(int(dir.Fd()), syscall.LOCK_UN)
		_ = dir.Close()
		w.listen = ""
	}
}

func (w *reader) has(name string) bool {
	_, err := os.Stat(w.path(name))
	return err == nil
}
