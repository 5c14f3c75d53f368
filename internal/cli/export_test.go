package cli

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/filecoin-project/go-bitfield"
	"github.com/syndtr/goleveldb/leveldb"

	"damocles-manager/internal/lotus"
	"damocles-manager/internal/testkit"
)

func decodeSector(t *testing.T, raw string) *lotus.SectorInfo {
	t.Helper()
	info, err := lotus.Decode([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// export runs `export metadata` for f01000.
func (w *world) export(home, repo string, args ...string) *result {
	w.t.Helper()
	return w.sectorsCmd(home, append([]string{"export", "--miner=t01000", "metadata", "--dest-repo", repo}, args...)...)
}

// lotus repo to damocles to an empty lotus repo gives the same bytes.
func TestRoundTripIsByteIdentical(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	originals := sectors(w.metadata("lotus"))
	w.sectorsCmd(home, "import", "--repo", repo).exits(3)

	w.emptyRepo("kept")
	w.export(home, w.path("kept"), "--keep-states").exits(0).says("export: 27 written (4 upgraded)", "export failure number: 0", "update next sector number: 31")
	kept := sectors(w.metadata("kept"))
	if len(kept) != 27 {
		t.Fatalf("got %d sectors, want 27", len(kept))
	}
	for key, value := range kept {
		if value != originals[key] {
			t.Errorf("%s is not what it was", key)
		}
	}

	w.emptyRepo("plain")
	w.export(home, w.path("plain")).exits(0).says("s-t01000-21", "it was in UpdateActivating", "it was in ReleaseSectorKey", "it was in FinalizeSector")
	plain := sectors(w.metadata("plain"))
	if len(plain) != 27 {
		t.Fatalf("got %d sectors, want 27", len(plain))
	}
	for key, value := range plain {
		switch key {
		case "/sectors/21", "/sectors/22", "/sectors/30":
			want := decodeSector(t, originals[key])
			want.State = "Proving"
			encoded, err := lotus.Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			if value != string(encoded) {
				t.Errorf("%s differs in more than its state", key)
			}
		default:
			if value != originals[key] {
				t.Errorf("%s is not what it was", key)
			}
		}
	}
}

// The way back of what came over RPC: all that the API tells is there again.
func TestRoundTripOverRPC(t *testing.T) {
	w := newWorld(t)
	home := w.path("home")
	originals := sectors(w.metadata(filepath.Base(w.repo("lotus"))))
	miner := testkit.Lotus(t, testkit.LotusOptions{FromRepoJSON: true})
	w.sectorsCmd(home, "import", "--api", miner.Multiaddr()).exits(3)
	w.emptyRepo("back")
	w.export(home, w.path("back"), "--keep-states").exits(0).says("27 written")
	for key, value := range sectors(w.metadata("back")) {
		got, want := decodeSector(t, value), decodeSector(t, originals[key])
		if got.State != want.State || *got.CommR != *want.CommR || len(got.Pieces) != len(want.Pieces) || len(got.Log) != len(want.Log) {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
		for i, p := range got.Pieces {
			if (p.DealInfo == nil) != (want.Pieces[i].DealInfo == nil) {
				t.Errorf("%s: piece %d: deal %v, want %v", key, i, p.DealInfo, want.Pieces[i].DealInfo)
			}
		}
	}
}

func TestExportOfTheFixtureHome(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.emptyRepo("lotus")
	before := w.metadata("lotus")
	w.export(home, w.path("lotus"), "--dry-run").exits(3).says("18 would be written", "would update next sector number: 123")
	if after := w.metadata("lotus"); len(after) != len(before) {
		t.Fatal("a dry run wrote into the repo")
	}
	r := w.export(home, w.path("lotus")).exits(3).
		says("export: 18 written (4 upgraded), 0 unchanged, 0 conflicts, 2 unfinished, 3 skipped (Aborted 1, Removed 1, Terminated 1), 0 failed").
		says("export failure number: 0", "update next sector number: 123", "backup: ", "undo with: ").
		says("s-t01000-113: its files are lost", "s-t01000-122: its pieces are unknown", "never snap it again").
		says("s-t01000-117: unfinished", "finalize --miner f01000 117", "s-t01000-118: unfinished").
		never("s-t01001-120", "s-t01000-120")
	want := []int{100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 119, 121, 122, 123}
	got := sectors(w.metadata("lotus"))
	if len(got) != len(want) {
		t.Fatalf("got %d sectors, want %d", len(got), len(want))
	}
	for _, n := range want {
		raw, ok := got[fmt.Sprintf("/sectors/%d", n)]
		if !ok {
			t.Errorf("sector %d is not there", n)
			continue
		}
		info := decodeSector(t, raw)
		if info.State != "Proving" || uint64(info.SectorNumber) != uint64(n) {
			t.Errorf("sector %d: state %s, number %d", n, info.State, info.SectorNumber)
		}
		checkPieces(t, info)
		checkCids(t, info)
	}
	if n := nextID(t, w.metadata("lotus")); n != 123 {
		t.Errorf("/storage/nextid is %d, want 123", n)
	}
	// an undo takes all of it back but the number
	w.sectorsCmd(home, "export", "--miner", "1000", "rollback", "--dest-repo", w.path("lotus"), "--backup", r.undoes()).
		exits(0).says("18 deleted")
	if left := sectors(w.metadata("lotus")); len(left) != 0 {
		t.Errorf("left after the rollback: %v", left)
	}
	if n := nextID(t, w.metadata("lotus")); n != 123 {
		t.Errorf("the rollback took /storage/nextid back to %d", n)
	}
}

// checkPieces holds every piece against the rules by which lotus-miner tells a
// deal from a filler.
func checkPieces(t *testing.T, info *lotus.SectorInfo) {
	t.Helper()
	n := info.SectorNumber
	if n == 122 {
		if len(info.Pieces) != 0 || !info.CCUpdate {
			t.Errorf("122: its pieces are unknown, but it has %v", info.Pieces)
		}
		return
	}
	if len(info.Pieces) == 0 {
		t.Errorf("%d has no pieces", n)
	}
	var size uint64
	deals := 0
	for i, p := range info.Pieces {
		size += uint64(p.Piece.Size)
		if p.DealInfo == nil {
			continue
		}
		deals++
		if err := p.DealInfo.Valid(); err != nil {
			t.Errorf("%d: piece %d: %v", n, i, err)
		}
	}
	if size != 2048 {
		t.Errorf("%d: its pieces make %d bytes", n, size)
	}
	wantDeals := 0
	if n >= 104 && n <= 112 {
		wantDeals = 1
	}
	if deals != wantDeals {
		t.Errorf("%d: %d deals, want %d", n, deals, wantDeals)
	}
}

// checkCids: damocles's message UIDs are no chain CIDs, and none is made up.
func checkCids(t *testing.T, info *lotus.SectorInfo) {
	t.Helper()
	fromLotus := info.SectorNumber == 121 || info.SectorNumber == 122
	if (info.PreCommitMessage != nil) != fromLotus || (info.CommitMessage != nil) != fromLotus {
		t.Errorf("%d: messages %v and %v", info.SectorNumber, info.PreCommitMessage, info.CommitMessage)
	}
	if info.ReplicaUpdateMessage != nil || info.TerminateMessage != nil {
		t.Errorf("%d: messages %v and %v", info.SectorNumber, info.ReplicaUpdateMessage, info.TerminateMessage)
	}
}

func nextID(t *testing.T, metadata map[string]string) uint64 {
	t.Helper()
	raw, ok := metadata["/storage/nextid"]
	if !ok {
		t.Fatal("there is no /storage/nextid")
	}
	n, size := binary.Uvarint([]byte(raw))
	if size != len(raw) {
		t.Fatalf("/storage/nextid is %x", raw)
	}
	return n
}

// With a chain node, the deals are whole and the upgraded SealedCID is known.
func TestExportWithChain(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.emptyRepo("lotus")
	deals := map[uint64]json.RawMessage{}
	for n := 104; n <= 107; n++ {
		deals[uint64(7000+n)] = json.RawMessage(proposalOf(t, w, home, n))
	}
	node := testkit.Chain(t, testkit.ChainOptions{Deals: deals})
	w.export(home, w.path("lotus"), "--chain", node.Multiaddr()).exits(3).
		says("18 written").
		says("s-t01000-117: unfinished: it is on chain, but damocles has not finalized it", "s-t01000-118: unfinished: it is still being sealed").
		never("the CommR of its update is unknown")
	got := sectors(w.metadata("lotus"))
	for n := 106; n <= 107; n++ { // 104 and 105 never had a publish message
		p := decodeSector(t, got[fmt.Sprintf("/sectors/%d", n)]).Pieces[0].DealInfo
		if p.PublishCid == nil || p.DealProposal == nil || p.PieceActivationManifest != nil {
			t.Errorf("%d: the deal is not whole: %+v", n, p)
		}
	}
	if c := decodeSector(t, got["/sectors/122"]).UpdateSealed; c == nil {
		t.Error("122: the chain's SealedCID did not come in")
	}
}

// proposalOf is a proposal that fits the deal piece of a fixture sector.
func proposalOf(t *testing.T, w *world, home string, n int) string {
	t.Helper()
	state := w.sectorsCmd(home, "state", "1000", fmt.Sprint(n), "--json").exits(0).lines()["state"][0]["state"].(map[string]any)
	var piece string
	if deals, ok := state["Deals"].([]any); ok {
		piece = deals[0].(map[string]any)["Piece"].(map[string]any)["Cid"].(map[string]any)["/"].(string)
	} else {
		piece = state["Pieces"].([]any)[0].(map[string]any)["Piece"].(map[string]any)["PieceCID"].(map[string]any)["/"].(string)
	}
	return fmt.Sprintf(`{"PieceCID":{"/":%q},"PieceSize":1024,"VerifiedDeal":true,"Client":"f02104","Provider":"f01000","Label":"l",
		"StartEpoch":6000,"EndEpoch":600000,"StoragePricePerEpoch":"7","ProviderCollateral":"8","ClientCollateral":"9"}`, piece)
}

// Into the repo that the sectors came from, after some changed on either side.
func TestExportBackIntoTheSameRepo(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	w.sectorsCmd(home, "import", "--repo", repo).exits(3)
	w.export(home, repo).exits(0).says("the repo has all 27 sectors already, equal: nothing was changed", "0 written, 27 unchanged")

	// damocles changes 8, lotus-miner 9
	w.changeState(home, 8, `"Epoch":4208`, `"Epoch":4209`)
	w.mutateSector("lotus", 9, func(b []byte) []byte { return []byte(strings.Replace(string(b), "label-9", "LABEL-9", 1)) })
	before := w.metadata("lotus")
	w.export(home, repo).exits(3).
		says("s-t01000-8: conflict: the repo has it, and differs", "Seed.Epoch: has 4208, would be 4209", "--override").
		says("2 conflicts", "25 unchanged", "export failure number: 2")
	if got := w.metadata("lotus"); got["/sectors/8"] != before["/sectors/8"] || got["/sectors/9"] != before["/sectors/9"] {
		t.Fatal("a conflict was written")
	}
	w.export(home, repo, "--override").exits(0).says("2 written", "25 unchanged")
	after := w.metadata("lotus")
	eight := decodeSector(t, after["/sectors/8"])
	if eight.SeedEpoch != 4209 || len(eight.Log) != 2 || eight.Pieces[0].DealInfo.DealProposal == nil {
		t.Errorf("8 lost what only lotus-miner keeps: %+v", eight)
	}
	// lotus-miner writes 9 again: the rollback takes back 8 and keeps 9
	w.mutateSector("lotus", 9, func(b []byte) []byte { return []byte(strings.Replace(string(b), "label-9", "NEWER-9", 1)) })
	w.sectorsCmd(home, "export", "--miner", "t01000", "rollback", "--dest-repo", repo).exits(3).
		says("/sectors/9: kept: it has changed since", "1 restored", "1 kept")
	end := w.metadata("lotus")
	if end["/sectors/8"] != before["/sectors/8"] {
		t.Error("8 was not restored")
	}
	if !strings.Contains(end["/sectors/9"], "NEWER-9") {
		t.Error("9 lost what lotus-miner wrote since")
	}
	// again: nothing left to undo
	w.sectorsCmd(home, "export", "--miner", "t01000", "rollback", "--dest-repo", repo).exits(3).says("0 restored", "1 undone already", "1 kept")
}

// An import over RPC, as in the guide, has not seen all that the repo holds: where a
// sector changed since, the way back into that repo keeps it.
func TestExportBackAfterAnImportOverRPC(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	before := w.metadata("lotus")
	w.sectorsCmd(home, "import", "--api", testkit.Lotus(t, testkit.LotusOptions{FromRepoJSON: true}).Multiaddr()).exits(3)
	changed := []int{8, 13, 20} // a deal, a DDO piece, an upgraded one
	for _, n := range changed {
		w.changeState(home, n, fmt.Sprintf(`"Epoch":%d`, 4200+n), fmt.Sprintf(`"Epoch":%d`, 9200+n))
	}
	w.export(home, repo, "--override").exits(0).says("3 written (1 upgraded)", "24 unchanged")
	after := w.metadata("lotus")
	for _, n := range changed {
		key := fmt.Sprintf("/sectors/%d", n)
		want, got := decodeSector(t, before[key]), decodeSector(t, after[key])
		want.SeedEpoch += 5000
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d: got\n%+v, want\n%+v", n, got, want)
		}
	}
}

// So does the way back of one of which only the state is changed: the chain has decided
// where lotus-miner was stuck.
func TestExportOfAStuckSectorAfterAnImportOverRPC(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	stuck := map[uint64]string{3: "FinalizeFailed", 20: "FinalizeReplicaUpdateFailed"}
	for n, state := range stuck {
		w.mutateSector("lotus", n, func(b []byte) []byte {
			out, err := lotus.WithState(b, state)
			if err != nil {
				t.Fatal(err)
			}
			return out
		})
	}
	before := w.metadata("lotus")
	miner := testkit.Lotus(t, testkit.LotusOptions{FromRepoJSON: true, States: stuck}).Multiaddr()
	chain := testkit.Chain(t, testkit.ChainOptions{}).Multiaddr()
	w.sectorsCmd(home, "import", "--api", miner, "--chain", chain, "--numbers", "3,20").exits(0).says("2 written (1 upgraded)")
	w.export(home, repo, "--chain", chain, "--override").exits(0).says("2 written (1 upgraded)")
	after := w.metadata("lotus")
	for n := range stuck {
		key := fmt.Sprintf("/sectors/%d", n)
		want, got := decodeSector(t, before[key]), decodeSector(t, after[key])
		want.State = "Proving"
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d: got\n%+v, want\n%+v", n, got, want)
		}
	}
}

// What a newer lotus-miner writes comes back as it was; where the sector changed,
// and the record is written anew, its loss is said.
func TestExportOfRecordsOfANewerLotus(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	for _, n := range []uint64{8, 9} {
		w.mutateSector("lotus", n, func(b []byte) []byte {
			b[1]++ // the map's length
			return append(b, "\x6dFromTheFuture\x01"...)
		})
	}
	originals := w.metadata("lotus")
	w.sectorsCmd(home, "import", "--repo", repo).exits(3)
	w.changeState(home, 8, `"Epoch":4208`, `"Epoch":4209`)
	w.emptyRepo("back")
	w.export(home, w.path("back")).exits(0).says(`s-t01000-8: lotus-miner's record of it has fields that are not known here, and are left out: ["FromTheFuture"]`).
		never("s-t01000-9:", "s-t01000-9,")
	back := w.metadata("back")
	if back["/sectors/9"] != originals["/sectors/9"] {
		t.Error("9 is not what it was")
	}
	if eight := decodeSector(t, back["/sectors/8"]); eight.SeedEpoch != 4209 {
		t.Errorf("8 is %+v", eight)
	}
}

// Over RPC an import has not seen such fields. They stay where nothing is written
// over them, and else their loss is said, too.
func TestExportOverRecordsOfANewerLotus(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	w.sectorsCmd(home, "import", "--api", testkit.Lotus(t, testkit.LotusOptions{FromRepoJSON: true}).Multiaddr()).exits(3)
	for _, n := range []uint64{8, 9} {
		w.mutateSector("lotus", n, func(b []byte) []byte {
			b[1]++ // the map's length
			return append(b, "\x6dFromTheFuture\x01"...)
		})
	}
	w.changeState(home, 8, `"Epoch":4208`, `"Epoch":4209`)
	w.export(home, repo).exits(3).never("FromTheFuture")
	const lost = `s-t01000-8: lotus-miner's record of it has fields that are not known here, and are left out: ["FromTheFuture"]`
	w.export(home, repo, "--override", "--dry-run").exits(0).says(lost)
	w.export(home, repo, "--override").exits(0).says("1 written", lost).never("s-t01000-9")
}

func TestNextNumber(t *testing.T) {
	t.Parallel()
	bits := func(ranges ...[2]uint64) *bitfield.BitField {
		var all []uint64
		for _, r := range ranges {
			for n := r[0]; n <= r[1]; n++ {
				all = append(all, n)
			}
		}
		b := bitfield.NewFromSet(all)
		return &b
	}
	u := func(n uint64) *uint64 { return &n }
	tests := []struct {
		name      string
		nextid    *uint64
		allocated *bitfield.BitField
		reserved  *bitfield.BitField
		chain     bool
		args      []string
		want      uint64
		wantBits  *bitfield.BitField
		says      string
		exit      int
	}{
		{name: "default: the highest sealed, terminated and unfinished ones too", want: 123, says: "update next sector number: 123", exit: 3},
		{name: "a number above", args: []string{"--next-number=500"}, want: 500, says: "next sector number: 500\nupdate next sector number: 500", exit: 3},
		{name: "a number below is raised to the highest", args: []string{"--next-number=5"}, want: 123, says: "next sector number: 5\nupdate next sector number: 123", exit: 3},
		{name: "a counter above stays", nextid: u(900), want: 900, says: "next sector number is 900 already", exit: 3},
		{
			name: "allocated bits with holes are filled", nextid: u(10), allocated: bits([2]uint64{0, 31}, [2]uint64{40, 41}),
			want: 123, wantBits: bits([2]uint64{0, 123}), says: "free numbers below that lotus-miner will leave out:", exit: 3,
		},
		{name: "allocated bits above", allocated: bits([2]uint64{0, 700}), want: 700, wantBits: bits([2]uint64{0, 700}), exit: 3},
		{name: "a reservation above", allocated: bits([2]uint64{0, 5}), reserved: bits([2]uint64{200, 210}), want: 210, wantBits: bits([2]uint64{0, 210}), exit: 3},
		{name: "the chain knows more", chain: true, nextid: u(3), want: 123, exit: 3},
		{name: "lower by name, to the highest sector", nextid: u(900), allocated: bits([2]uint64{0, 900}), args: []string{"--next-number=150", "--lower-number"}, want: 150, wantBits: bits([2]uint64{0, 150}), says: "update next sector number: 150", exit: 3},
		{name: "lower, never below a sector", nextid: u(900), args: []string{"--next-number=5", "--lower-number"}, want: 123, says: "update next sector number: 123", exit: 3},
		{name: "without the flag it is not lowered", nextid: u(900), args: []string{"--next-number=150"}, want: 900, exit: 3},
		{name: "only the number", args: []string{"--next-number=77", "--only-next-number"}, want: 77, says: "update next sector number: 77"},
		{name: "only the number, below what is known", nextid: u(900), args: []string{"--next-number=77", "--only-next-number=true"}, want: 900, says: "next sector number is 900 already"},
		{name: "only the number, with bits", allocated: bits([2]uint64{0, 3}), args: []string{"--next-number=9", "--only-next-number"}, want: 9, wantBits: bits([2]uint64{0, 9}), says: "free numbers below that lotus-miner will leave out: 6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			home := w.home("home")
			w.emptyRepo("lotus")
			w.withRepo("lotus", func(db *leveldb.DB) {
				put := func(key string, value []byte) {
					if err := db.Put([]byte(key), value, nil); err != nil {
						t.Fatal(err)
					}
				}
				if tt.nextid != nil {
					put("/storage/nextid", binary.AppendUvarint(nil, *tt.nextid))
				}
				if tt.allocated != nil {
					put("/storage/sectorsids/allocated", cborBits(t, tt.allocated))
				}
				if tt.reserved != nil {
					put("/storage/sectorsids/reserved", cborBits(t, tt.reserved))
					put("/storage/sectorsids/reserved/mine", cborBits(t, tt.reserved))
				}
			})
			before := w.metadata("lotus")
			args := tt.args
			if tt.chain {
				args = append(args, "--chain", testkit.Chain(t, testkit.ChainOptions{}).Multiaddr())
			}
			if strings.Contains(strings.Join(args, " "), "only-next-number") {
				home = w.path("no-such-home") // neither home nor daemon is needed
			}
			w.export(home, w.path("lotus"), args...).exits(tt.exit).says(tt.says)
			after := w.metadata("lotus")
			if got := nextIDOr(t, after, before); got != tt.want {
				t.Errorf("/storage/nextid is %d, want %d", got, tt.want)
			}
			if tt.wantBits != nil && after["/storage/sectorsids/allocated"] != string(cborBits(t, tt.wantBits)) {
				t.Errorf("allocated is %x, want %x", after["/storage/sectorsids/allocated"], cborBits(t, tt.wantBits))
			}
			for _, key := range []string{"/storage/sectorsids/reserved", "/storage/sectorsids/reserved/mine"} {
				if after[key] != before[key] {
					t.Errorf("%s was changed", key)
				}
			}
		})
	}
}

// The repo alone does not know of damocles's sectors: a number that was lowered by its
// word would be given to a second sector.
func TestOnlyNextNumberIsNotLoweredBlindly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, repo := w.home("home"), w.path("lotus")
	w.emptyRepo("lotus")
	w.withRepo("lotus", func(db *leveldb.DB) {
		if err := db.Put([]byte("/storage/nextid"), binary.AppendUvarint(nil, 900), nil); err != nil {
			t.Fatal(err)
		}
	})
	only := []string{"--next-number=5", "--lower-number", "--only-next-number"}
	w.export(home, repo, only...).exits(5).says("whether the numbers above 5 are in use is not known").readable()
	if got := nextID(t, w.metadata("lotus")); got != 900 {
		t.Errorf("/storage/nextid is %d after a refusal, want 900", got)
	}
	node := testkit.Chain(t, testkit.ChainOptions{}).Multiaddr()
	w.export(home, repo, append(only, "--chain", node)...).exits(0).says("a higher number is in use, and stays", "update next sector number: 123")
	if got := nextID(t, w.metadata("lotus")); got != 123 {
		t.Errorf("/storage/nextid is %d, want 123, which the chain knows", got)
	}
}

func nextIDOr(t *testing.T, after, before map[string]string) uint64 {
	t.Helper()
	if _, ok := after["/storage/nextid"]; !ok {
		if _, was := before["/storage/nextid"]; was {
			t.Fatal("/storage/nextid is gone")
		}
		return 0
	}
	return nextID(t, after)
}

func cborBits(t *testing.T, b *bitfield.BitField) []byte {
	t.Helper()
	var out strings.Builder
	if err := b.MarshalCBOR(&out); err != nil {
		t.Fatal(err)
	}
	return []byte(out.String())
}

// The allocator of damocles counts, too: a number it gave out is used.
func TestNextNumberKnowsTheAllocator(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.setNumber(home, 400)
	w.emptyRepo("lotus")
	w.export(home, w.path("lotus")).exits(3).says("update next sector number: 400")
}

// A lotus-miner that logs its metadata would later be restored from a log without
// what was exported: that is said, and what to do.
func TestExportBesideAMetadataLog(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.emptyRepo("lotus")
	logs := w.path("lotus/kvlog/metadata")
	w.must(os.MkdirAll(logs, 0o755))
	w.export(home, w.path("lotus"), "--dry-run").exits(3).never("kvlog")
	w.write("lotus/kvlog/metadata/notes.txt", "")
	r := w.export(home, w.path("lotus")).exits(3).never("kvlog")
	w.write("lotus/kvlog/metadata/1718000000.log.cbor", "")
	w.export(home, w.path("lotus"), "--dry-run").exits(3).never("kvlog")
	w.export(home, w.path("lotus")).exits(3).says("18 unchanged", logs+", which does not get what is written here", "move its files away")
	w.run(r.undoOf()...).exits(0).says(logs)
}

// A stop of damocles between its two commits leaves a finished sector in both
// workspaces: its number is one number, and the others are not held up.
func TestExportOfASectorInBothWorkspaces(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.set(home, "meta", onlineKey(101), w.get(home, "offline_meta", offlineKey(101)))
	w.emptyRepo("lotus")
	w.withRepo("lotus", func(db *leveldb.DB) {
		allocated := bitfield.NewFromSet([]uint64{0, 1, 2})
		if err := db.Put([]byte("/storage/sectorsids/allocated"), cborBits(t, &allocated), nil); err != nil {
			t.Fatal(err)
		}
	})
	w.export(home, w.path("lotus")).exits(3).says("18 written", "s-t01000-101: unfinished",
		"free numbers below that lotus-miner will leave out: 98", "update next sector number: 123")
}

func TestPlanOut(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.emptyRepo("lotus")
	plan := w.path("plan.json")
	w.export(home, w.path("lotus"), "--dry-run", "--plan-out", plan).exits(3)
	var doc struct {
		Type    string
		Version int
		Command string
		Steps   []struct {
			Sector, Action string
			Changes        []struct{ Store, Key, After string }
		}
	}
	readJSONFile(t, plan, &doc)
	if doc.Type != "plan" || doc.Version != 1 || doc.Command != "export" || len(doc.Steps) != 24 {
		t.Fatalf("the plan is %+v", doc)
	}
	written := 0
	for _, s := range doc.Steps {
		for _, c := range s.Changes {
			if c.Store == "" || c.Key == "" || len(c.After) != 64 {
				t.Errorf("a change of %s is %+v", s.Sector, c)
			}
		}
		if s.Action == "written" && s.Sector != "s-t00-0" {
			written++
		}
	}
	if written != 19 { // 18 sectors and the number
		t.Errorf("%d steps write, want 19", written)
	}
	// never over an existing file
	w.export(home, w.path("lotus"), "--dry-run", "--plan-out", plan).exits(1).says("there is such a file already")
	if _, err := os.Stat(plan); err != nil {
		t.Error(err)
	}
}
