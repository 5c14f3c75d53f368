package damocles

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
)

// cliFixture is what the original printed, without the line of the command.
func cliFixture(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/fixtures/cli/" + name)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(raw), "\n")
	return text
}

// fixtureStates returns the fixtures of a workspace in the order of damocles's keys, which
// is that of their text.
func fixtureStates(t *testing.T, ws Workspace) []*SectorState {
	t.Helper()
	var out []*SectorState
	for name, raw := range fixtures(t) {
		if strings.Contains(name, "-"+string(ws)+"-") {
			out = append(out, mustDecode(t, raw))
		}
	}
	slices.SortFunc(out, func(a, b *SectorState) int {
		return strings.Compare(fmt.Sprintf("%d-%d", a.ID.Miner, a.ID.Number), fmt.Sprintf("%d-%d", b.ID.Miner, b.ID.Number))
	})
	return out
}

func TestList(t *testing.T) {
	all := ListJobs{Sealing: true, Snapup: true, Rebuild: true}
	finalized := mustDecode(t, fixture(t, "117"))
	finalized.Finalized = true // as the original did before it printed list-offline-all.txt
	afterFinalize := slices.Insert(fixtureStates(t, Offline), 17, finalized)
	for _, test := range []struct {
		file   string
		states []*SectorState
		jobs   ListJobs
		miner  abi.ActorID
	}{
		{"list.txt", fixtureStates(t, Online), ListJobs{Sealing: true}, 0},
		{"list-offline.txt", fixtureStates(t, Offline), ListJobs{Sealing: true}, 0},
		{"list-offline-all.txt", afterFinalize, all, 0},
		{"list-miner.txt", fixtureStates(t, Offline), ListJobs{Sealing: true}, 1001},
	} {
		var b bytes.Buffer
		count := 0
		b.WriteString("Sectors:\n")
		for _, s := range test.states {
			if !test.jobs.Shows(s) || test.miner != 0 && s.ID.Miner != test.miner {
				continue
			}
			count++
			if err := WriteListEntry(&b, s); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&b, "Count: %d\n", count)
		if got, want := b.String(), cliFixture(t, test.file); got != want {
			t.Errorf("%s:\n%s", test.file, got)
		}
	}
}

func TestListMarks(t *testing.T) {
	s := &SectorState{ID: abi.SectorID{Miner: 1000, Number: 7}, Upgraded: true, NeedRebuild: true, Unsealing: true}
	var b bytes.Buffer
	if err := WriteListEntry(&b, s); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "s-t01000-7(upgrade, rebuild, unseal):\n\tFinalized: false, Removed: false\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJobs(t *testing.T) {
	for _, test := range []struct {
		upgraded, rebuild, unsealing bool
		want                         ListJobs
	}{
		{false, false, false, ListJobs{Sealing: true}},
		{true, false, false, ListJobs{Snapup: true}},
		{false, true, false, ListJobs{Rebuild: true}},
		{true, true, false, ListJobs{Rebuild: true}},
		{false, false, true, ListJobs{Unseal: true}},
		{true, false, true, ListJobs{Unseal: true}},
		{true, true, true, ListJobs{Rebuild: true, Unseal: true}},
	} {
		s := &SectorState{Upgraded: test.upgraded, NeedRebuild: test.rebuild, Unsealing: test.unsealing}
		if got := s.Jobs(); got != test.want {
			t.Errorf("%+v: got %+v", test, got)
		}
		if !test.want.Shows(s) || (ListJobs{}).Shows(s) {
			t.Errorf("%+v: not shown by its own job, or by none", test)
		}
	}
}

func TestState(t *testing.T) {
	for _, test := range []struct{ file, number, defect, mended string }{
		{"state-offline-100.txt", "100", "", ""},
		{"state-offline-104.txt", "104", "", ""},
		{"state-offline-106.txt", "106", "", ""},
		{"state-offline-108.txt", "108", "", ""},
		// The original prints UnsealedCID on the line of SealedCID,
		{"state-offline-110.txt", "110",
			"\tSealedCID: baga6ea4seaqa5xpzq6p4i5iuye7abp3toidldl7j6tz3w5jkrrrxiyrwob3qqbi\n",
			"\tSealedCID: bagboea4b5abcb3dfi3rrvisayz46u6jun6zspbho4wdcfctrfw4eqk2hquxzj4to\n"},
		{"state-offline-113.txt", "113", "", ""},
		{"state-offline-114.txt", "114", "", ""},
		{"state-offline-115.txt", "115", "", ""},
		// and an undefined CID as b.
		{"state-offline-122.txt", "122", "\tUnsealedCID: b\n\tSealedCID: b\n", "\tUnsealedCID: NULL\n\tSealedCID: NULL\n"},
		{"state-online-118.txt", "118", "", ""},
	} {
		want := cliFixture(t, test.file)
		if test.defect != "" && strings.Count(want, test.defect) != 1 {
			t.Fatalf("%s has no %q", test.file, test.defect)
		}
		want = strings.Replace(want, test.defect, test.mended, 1)
		var b bytes.Buffer
		if err := WriteState(&b, mustDecode(t, fixture(t, test.number))); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != want {
			t.Errorf("%s:\n got %s\nwant %s", test.file, got, want)
		}
	}
}

func TestStateForms(t *testing.T) {
	for _, test := range []struct{ name, number, from, to, want string }{
		{"only fillers", "104", `"ID":7104`, `"ID":0`, "\nDeals:\n\tNULL\n"},
		{"second half", "106", `"Offset":0`, `"Offset":1024`, "size: 1024; offset: 1024 }\n"},
		{"no allocation", "108", `"AllocationID":9000`, `"AllocationID":0`, "\nDeals:\n\tNULL\n"},
		{"Deals beside Pieces", "106", `"Deals":null`, `"Deals":[{"ID":9}]`, "\nDeals:\n\tDealID: builtinmarket(7106)\n"},
		{"Deals beside Pieces, not shown", "106", `"Deals":null`, `"Deals":[{"ID":9}]`, "size: 1024; offset: 0 }\n\nSealing:"},
		{"failure of two lines", "118", `disk is busy`, `disk\nis busy`, "\tFailure: \n\t\t[Temporary] disk\n\t\tis busy\n"},
		{"undefined CommD", "100", `"CommD":{`, `"CommD":null,"x":{`, "\t\tCommD: NULL\n\t\tCommR: bagboea"},
	} {
		var b bytes.Buffer
		if err := WriteState(&b, mustDecode(t, editState(t, fixture(t, test.number), test.from, test.to))); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), test.want) {
			t.Errorf("%s: no %q in\n%s", test.name, test.want, b.String())
		}
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, errors.New("closed") }

func TestShowErrors(t *testing.T) {
	s := mustDecode(t, fixture(t, "100"))
	if WriteState(closedPipe{}, s) == nil || WriteListEntry(closedPipe{}, s) == nil {
		t.Error("a failed write is no error")
	}
}
