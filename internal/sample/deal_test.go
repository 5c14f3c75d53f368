package sample

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	commcid "github.com/filecoin-project/go-fil-commcid"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
)

// The pieces of every sector make up the commitment to its data.
func TestPiecesMakeUpCommD(t *testing.T) {
	kinds := map[string]int{}
	for _, m := range build(t, dozen(t.TempDir())).Members {
		live := m.Record.Live()
		var row [][]byte
		kind := "filler"
		for _, p := range live.Pieces {
			raw, err := commcid.CIDToDataCommitmentV1(p.CID)
			if err != nil {
				t.Fatal(err)
			}
			row = append(row, raw)
			if p.Deal != nil {
				kind = map[sector.DealKind]string{sector.DDO: "ddo", sector.BuiltinMarket: "deal"}[p.Deal.Kind]
			}
			if p.Deal != nil && p.Deal.Kind == sector.BuiltinMarket && (p.Deal.Proposal.PieceCID != p.CID || !p.Deal.PublishCid.Defined()) {
				t.Errorf("%s: its deal is about another piece", m.Record.ID)
			}
		}
		kinds[kind]++
		if len(row) == 2 {
			sum := masked(sha256.Sum256(slices.Concat(row...)))
			row = [][]byte{sum[:]}
		}
		if got, err := commcid.DataCommitmentV1ToCID(row[0]); err != nil || got != live.CommD {
			t.Errorf("%s: its %d pieces make up %s, CommD is %s", m.Record.ID, len(live.Pieces), got, live.CommD)
		}
		if !damocles.IsChainCid(m.Record.Messages.Commit) || m.Record.Upgraded != m.Record.Messages.Update.Defined() {
			t.Errorf("%s: its messages are %+v", m.Record.ID, m.Record.Messages)
		}
	}
	if kinds["filler"] != 4 || kinds["ddo"] != 4 || kinds["deal"] != 4 {
		t.Errorf("got %v", kinds)
	}
}

// What a repo and a home hold of a sector is what was built, the deals whole.
func TestDealsOfRepoAndHome(t *testing.T) {
	dir := t.TempDir()
	b := build(t, dozen(dir))
	repoDir, homeDir := filepath.Join(dir, "repo"), filepath.Join(dir, "home")
	if err := b.WriteRepo(t.Context(), repoDir); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteHome(t.Context(), homeDir); err != nil {
		t.Fatal(err)
	}
	repo, err := lotus.OpenRepo(t.Context(), repoDir, lotus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = repo.Close() }()
	home, err := damocles.OpenHome(t.Context(), homeDir, damocles.Config{}, damocles.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = home.Close() }()
	for _, m := range b.Members {
		raw, _, err := repo.Get(lotus.SectorKey(uint64(m.Record.ID.Number)))
		if err != nil {
			t.Fatal(err)
		}
		info, err := lotus.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := sector.Diff(m.Record, info.Record(1000)); len(diff) > 0 {
			t.Errorf("%s in the repo: %v", m.Record.ID, diff)
		}
		if len(info.Log) == 0 || info.CreationTime == 0 {
			t.Errorf("%s has nothing that only lotus-miner keeps", m.Record.ID)
		}
		state, found, err := home.Get(t.Context(), damocles.Offline, m.Record.ID.Miner, m.Record.ID.Number)
		if err != nil || !found {
			t.Fatal(err)
		}
		got, err := damocles.DecodeState(state)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range sector.Diff(got.Record(damocles.Offline), m.Record) {
			if d.Field != "Original.Pieces" && !strings.HasSuffix(d.Field, ".Proposal") { // damocles has no place for these
				t.Errorf("%s in the home: %v", m.Record.ID, d)
			}
		}
	}
}

// A second network joins a home: its stores, its sectors, its number.
func TestAddToHome(t *testing.T) {
	dir := t.TempDir()
	first := build(t, dozen(dir))
	home := filepath.Join(dir, "home")
	if err := first.WriteHome(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	second := build(t, Network{Dir: filepath.Join(dir, "stores"), FirstStore: 4, Miner: 1000, Sectors: []Wanted{{Number: 40, Data: true, Deal: true}}})
	if err := second.AddToHome(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	config, err := damocles.LoadConfig(home, func(string) string { return "" })
	if err != nil || len(config.Common.PersistStores) != 4 || config.Common.PersistStores[3].Path != second.Stores[0] {
		t.Errorf("got %+v, %v", config.Common.PersistStores, err)
	}
	h, err := damocles.OpenHome(t.Context(), home, config, damocles.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	if last, _, err := h.LastNumber(t.Context(), 1000); err != nil || last != 40 {
		t.Errorf("the last number is %d, %v", last, err)
	}
	for number, imported := range map[abi.SectorNumber]bool{5: true, 40: false} {
		raw, found, err := h.Get(t.Context(), damocles.Offline, 1000, number)
		if err != nil || !found {
			t.Fatalf("sector %d: found %v, %v", number, found, err)
		}
		state, err := damocles.DecodeState(raw)
		if err != nil || state.Imported != imported {
			t.Errorf("sector %d: imported %v, %v", number, state.Imported, err)
		}
	}
	if err := second.AddToHome(t.Context(), filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("into no home: got %v", err)
	}
}

// A network without sectors makes a repo that was never used.
func TestUnusedRepo(t *testing.T) {
	dir := t.TempDir()
	if err := (&Built{Miner: 1000}).WriteRepo(t.Context(), filepath.Join(dir, "repo")); err != nil {
		t.Fatal(err)
	}
	repo, err := lotus.OpenRepo(t.Context(), filepath.Join(dir, "repo"), lotus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = repo.Close() }()
	numbers, err := repo.Numbers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if last, any := numbers.Highest(); any || numbers.NextID != nil {
		t.Errorf("a number is used: %d", last)
	}
}
