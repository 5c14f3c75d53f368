package sample

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/audit"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/post"
	"damocles-manager/internal/store"
)

// dozen has every kind of sector: CC, with data, upgraded, with a deal, split.
func dozen(dir string) Network {
	n := Network{Dir: filepath.Join(dir, "stores"), Miner: 1000, Stores: 3}
	for i := range abi.SectorNumber(12) {
		n.Sectors = append(n.Sectors, Wanted{Number: i + 5, Data: i%3 == 1, Snap: i%3 == 2, Deal: i >= 6 && i%3 != 0, Split: i%4 == 3})
	}
	return n
}

func build(t *testing.T, n Network) *Built {
	t.Helper()
	b, err := n.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// told keeps the sectors of an audit.
type told struct{ sectors []audit.SectorReport }

func (o *told) Sector(r audit.SectorReport)   { o.sectors = append(o.sectors, r) }
func (o *told) Difference(audit.Difference)   {}
func (o *told) Deadline(audit.DeadlineReport) {}
func (o *told) place(i int) string {
	return o.sectors[i].Replica + " " + o.sectors[i].Cache
}

// audited runs a full check, with the CommR of the metadata, and wants every sector
// to pass without any finding.
func audited(t *testing.T, b *Built, metadata audit.Metadata, locator audit.Locator) *told {
	t.Helper()
	seen := &told{}
	o := audit.Options{Metadata: metadata, Locator: locator, Plan: audit.Plan{Kind: audit.Full}, Jobs: 2, Timeout: time.Minute, Observer: seen}
	for _, s := range b.Stores {
		o.Stores = append(o.Stores, store.Store{Name: filepath.Base(s), Dir: s})
	}
	sum, err := audit.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Provable != len(b.Members) || sum.Verdict() != post.Provable || len(seen.sectors) != len(b.Members) {
		t.Errorf("got %+v", sum)
	}
	for i, r := range seen.sectors {
		rec := b.Members[i].Record
		want, err := post.CommRFromCID(rec.Live().CommR)
		if err != nil || r.CommR != want || r.ID != rec.ID || r.Upgraded != rec.Upgraded || len(r.Findings) > 0 {
			t.Errorf("%s: %+v, %v", rec.ID, r, err)
		}
	}
	return seen
}

// What the repo says and where its storage.json points is a network that passes a
// full check.
func TestRepoOfNetwork(t *testing.T) {
	dir := t.TempDir()
	b := build(t, dozen(dir))
	path := filepath.Join(dir, "repo")
	if err := b.WriteRepo(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	repo, err := lotus.OpenRepo(t.Context(), path, lotus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = repo.Close() }()
	if miner, err := repo.Miner(); err != nil || miner != 1000 {
		t.Errorf("miner %d, %v", miner, err)
	}
	numbers, err := repo.Numbers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := numbers.Sectors.Count(); err != nil || n != 12 {
		t.Errorf("%d sectors, %v", n, err)
	}
	if last, ok := numbers.Highest(); !ok || last != 16 || numbers.NextID == nil || *numbers.NextID != 16 {
		t.Errorf("the last number is %d", last)
	}
	storage, _, err := lotus.ReadStorage(path)
	if err != nil || !slices.Equal(storage.Paths(), b.Stores) {
		t.Errorf("storage.json has %v, %v", storage.Paths(), err)
	}
	for _, s := range b.Stores {
		meta, _, err := store.ReadMeta(s)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := meta.Lotus(); err != nil || !l.CanStore || l.ID == "" {
			t.Errorf("%s: %+v, %v", s, l, err)
		}
	}
	audited(t, b, migrate.LotusRecords(migrate.NewRepo(repo, path, "check", 1000, durable.FS{}), 1000), nil)
}

// The same for a home, whose index says where each file is.
func TestHomeOfNetwork(t *testing.T) {
	dir := t.TempDir()
	b := build(t, dozen(dir))
	path := filepath.Join(dir, "home")
	if err := b.WriteHome(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	config, err := damocles.LoadConfig(path, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	home, err := damocles.OpenHome(t.Context(), path, config, damocles.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = home.Close() }()
	for i, s := range config.Common.PersistStores {
		if s.Path != b.Stores[i] {
			t.Errorf("store %d is %s", i, s.Path)
		}
	}
	if last, found, err := home.LastNumber(t.Context(), 1000); err != nil || !found || last != 16 {
		t.Errorf("the last number is %d, %v", last, err)
	}
	source := migrate.NewHome(home, path, "check", 0, durable.FS{})
	seen := audited(t, b, migrate.DamoclesRecords(source), source)
	for i, m := range b.Members {
		want := filepath.Join(b.Stores[m.Replica], "sealed", m.Record.ID.String()) + " " +
			filepath.Join(b.Stores[m.Cache], "cache", m.Record.ID.String())
		if m.Record.Upgraded {
			want = strings.NewReplacer("/sealed/", "/update/", "/cache/", "/update-cache/").Replace(want)
		}
		if got := seen.place(i); got != want {
			t.Errorf("%s: %s, want %s", m.Record.ID, got, want)
		}
		if split := i%4 == 3; split != (m.Replica != m.Cache) {
			t.Errorf("%s: in stores %d and %d", m.Record.ID, m.Replica, m.Cache)
		}
	}
}

// A network of an 8 MiB sector, sealed and upgraded, in damocles's form.
func TestEightMiBNetwork(t *testing.T) {
	if os.Getenv("DM_SEAL") != "all" {
		t.Skip("seals 8 MiB only with DM_SEAL=all")
	}
	dir := t.TempDir()
	b := build(t, Network{Dir: dir, Miner: 1000, Size: 8 << 20, Stores: 2, Sectors: []Wanted{{Number: 3, Snap: true, Split: true}}})
	path := filepath.Join(dir, "home")
	if err := b.WriteHome(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	home, err := damocles.OpenHome(t.Context(), path, damocles.Config{}, damocles.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = home.Close() }()
	source := migrate.NewHome(home, path, "check", 0, durable.FS{})
	audited(t, b, migrate.DamoclesRecords(source), source)
}

// Every sector of a network is another one, and of many that may be the same all
// but a few are; the same orders make the same network.
func TestDistinct(t *testing.T) {
	commitments := func(distinct int) []string {
		n := dozen(t.TempDir())
		n.Distinct = distinct
		var out []string
		for _, m := range build(t, n).Members {
			out = append(out, m.Record.Live().CommR.String())
		}
		return out
	}
	all := commitments(0)
	if !slices.Equal(all, commitments(0)) {
		t.Error("another network the second time")
	}
	for want, got := range map[int][]string{12: all, 10: commitments(2)} {
		set := map[string]bool{}
		for _, c := range got {
			set[c] = true
		}
		if len(set) != want {
			t.Errorf("%d of 12 are distinct, want %d", len(set), want)
		}
	}
}

func TestBadNetworks(t *testing.T) {
	for name, wanted := range map[string][]Wanted{
		"a number twice": {{Number: 1}, {Number: 1}},
		"data and snap":  {{Number: 1, Data: true, Snap: true}},
		"no data":        {{Number: 1, Deal: true}},
	} {
		_, err := Network{Dir: t.TempDir(), Miner: 1000, Sectors: wanted}.Build(t.Context())
		if fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	dir := t.TempDir()
	build(t, dozen(dir))
	if _, err := dozen(dir).Build(t.Context()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another network: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dozen(t.TempDir()).Build(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// Whatever step fails is told.
func TestNetworkFaults(t *testing.T) {
	boom := errors.New("boom")
	steps := map[string]int{}
	run := func(fail func(op, path string) error) error {
		dir := t.TempDir()
		n := dozen(dir)
		n.Sectors = n.Sectors[:3]
		n.FS.Fault = fail
		b, err := n.Build(t.Context())
		if err != nil {
			return err
		}
		return errors.Join(b.WriteRepo(t.Context(), filepath.Join(dir, "repo")), b.WriteHome(t.Context(), filepath.Join(dir, "home")))
	}
	if err := run(func(op, _ string) error { steps[op]++; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, op := range slices.Sorted(maps.Keys(steps)) {
		err := run(func(got, _ string) error {
			if got == op {
				return boom
			}
			return nil
		})
		if !errors.Is(err, boom) {
			t.Errorf("%s: got %v", op, err)
		}
	}
	if len(steps) < 5 {
		t.Errorf("only these steps: %v", steps)
	}
	if _, err := (Network{Dir: filepath.Join(os.DevNull, "x")}).Build(t.Context()); err == nil {
		t.Error("below a device")
	}
}
