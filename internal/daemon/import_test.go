package daemon_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

// Every state of the fixtures is harmless in its own workspace, and comes back as it was.
func TestImportFixtures(t *testing.T) {
	w := newWorld(t, worldOptions{empty: true})
	for _, path := range testkit.Glob(t, "damocles-states/*.json") {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		ws := strings.Split(name, "-")[1]
		raw := fixtureState(t, name)
		w.is("true", "ImportSector", ws, raw, false)
		var state struct{ ID abi.SectorID }
		if err := json.Unmarshal(raw, &state); err != nil {
			t.Fatal(err)
		}
		w.is(string(raw), "FindSector", ws, state.ID)
		w.is("false", "ImportSector", ws, raw, false)
		w.is("true", "ImportSector", ws, raw, true)
	}
	if raw := w.call("ListSectors", "offline", 0); strings.Count(raw.result, `"SectorType"`) != 22 {
		t.Errorf("%d are offline", strings.Count(raw.result, `"SectorType"`))
	}
}

// What our own import writes passes, and what the original's importer writes.
func TestImportOfImporters(t *testing.T) {
	w := newWorld(t, worldOptions{empty: true})
	tried := 0
	for _, path := range testkit.Glob(t, "damocles-states/*-offline-*.json") {
		state, err := damocles.DecodeState(fixtureState(t, strings.TrimSuffix(filepath.Base(path), ".json")))
		if err != nil {
			t.Fatal(err)
		}
		ours, _, err := damocles.FromRecord(state.Record(damocles.Offline))
		if err != nil {
			continue // neither finished, lost nor terminated
		}
		raw, err := damocles.EncodeState(ours)
		if err != nil {
			t.Fatal(err)
		}
		w.is("true", "ImportSector", "offline", json.RawMessage(raw), false)
		tried++
	}
	if tried < 20 {
		t.Errorf("only %d records were tried", tried)
	}
	w.is("true", "ImportSector", "offline", json.RawMessage(byTheOriginal), false)
	w.is(byTheOriginal, "FindSectorInAllStates", sid(5))
}

// byTheOriginal is a snap sector as the original's importer writes it.
const byTheOriginal = `{"ID":{"Miner":1000,"Number":5},"SectorType":5,"Ticket":{"Ticket":"ERERERERERERERERERERERERERERERERERERERERERE=","Epoch":3000000},"Seed":{"Seed":"EhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhI=","Epoch":3000150},"Deals":null,"Pieces":[{"Piece":{"Size":2048,"PieceCID":{"/":"baga6ea4seaqaobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqoby"}},"DealInfo":null}],"Pre":{"CommR":{"/":"bagboea4b5abcairceirceirceirceirceirceirceirceirceirceirceirceirc"},"CommD":{"/":"baga6ea4seaqaobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqoby"},"Ticket":{"Ticket":"ERERERERERERERERERERERERERERERERERERERERERE=","Epoch":3000000}},"Proof":{"Proof":"AQID"},"MessageInfo":{"PreCommitCid":{"/":"bafk4bzacibakg5dsombntjdwtql3l5aj74zplcvcj7ysfv3ahzh5ufij5em5ied2klcxk4fg3fhfbft25jltwepyn5dt6u3vmxdg64bzqmfilumg"},"CommitCid":{"/":"bafk4bzacibakg5dsombntjdwtql3l5aj74zplcvcj7ysfv3ahzh5ufij5em5ied2klcxk4fg3fhfbft25jltwepyn5dt6u3vmxdg64bzqmfilumg"},"NeedSend":false},"TerminateInfo":{"TerminateCid":null,"TerminatedAt":0,"AddedHeight":0},"Finalized":true,"Removed":false,"AbortReason":"","Upgraded":true,"UpgradePublic":{"CommR":[34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34,34],"SealedCID":{"/":"bagboea4b5abcairceirceirceirceirceirceirceirceirceirceirceirceirc"},"Activation":2900000,"Expiration":4400000},"UpgradedInfo":{"AccessInstance":"","SealedCID":null,"UnsealedCID":null,"Proof":null},"UpgradeMessageID":null,"UpgradeLandedEpoch":0,"Imported":true,"NeedRebuild":false,"Unsealing":false}`

// A record that does not fit together, or that the original would act on or crash at,
// is refused with the reason, and nothing is written.
func TestImportRefuses(t *testing.T) {
	w := newWorld(t, worldOptions{empty: true})
	const cc, deal, legacy, snap, sealed, sealing = "100-offline-cc", "106-offline-builtin-deal", "104-offline-legacy-deal", "110-offline-snap", "117-online-online-on-chain", "118-online-online-sealing"
	for _, tt := range []struct {
		name, ws, state string
		change          []string // pairs: what is replaced, and with what
		want            string
	}{
		{"miner 0", "offline", cc, []string{`"Miner":1000`, `"Miner":0`}, "there is no sector 100 of miner 0"},
		{"number too large", "offline", cc, []string{`"Number":100`, `"Number":9223372036854775808`}, "there is no sector 9223372036854775808"},
		{"seal proof", "offline", cc, []string{`"SectorType":5`, `"SectorType":77`}, "its seal proof (SectorType 77) is unknown"},
		{"not finalized", "offline", cc, []string{`"Finalized":true`, `"Finalized":false`}, "it is not Finalized"},
		{"termination", "offline", cc, []string{`"AddedHeight":0`, `"AddedHeight":5`}, "damocles would terminate it on chain"},
		{"termination online", "online", sealed, []string{`"AddedHeight":0`, `"AddedHeight":5`}, "damocles would terminate it on chain"},
		{"negative termination", "offline", cc, []string{`"TerminatedAt":0`, `"TerminatedAt":-5`}, "negative height"},
		{"send", "online", sealed, []string{`"NeedSend":false`, `"NeedSend":true`}, "damocles would send its PreCommit"},
		{"snap committer", "online", snap, []string{`"Finalized":true`, `"Finalized":false`}, "delete its first replica"},
		{"no Pre", "offline", sealing, []string{`"Finalized":false`, `"Finalized":true`}, "it has no Pre"},
		{"no UpgradedInfo", "offline", snap, []string{`"UpgradedInfo":{`, `"UpgradedInfo":null,"X":{`}, "no UpgradedInfo"},
		{"CommR undefined", "offline", cc, []string{`"CommR":{`, `"CommR":null,"X":{`}, "its CommR is undefined"},
		{"CommD undefined", "offline", cc, []string{`"CommD":{`, `"CommD":null,"X":{`}, "its CommD is undefined"},
		{"CommR of data", "offline", cc, []string{`"CommR":{"/":"bagboea4b5abcbanw5r22grt3vtksd4l42s5wl6wu5qjq47c4nekripa2526hmljq"}`, `"CommR":{"/":"baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy"}`}, "is no commitment to a replica"},
		{"UpgradePublic", "offline", snap, []string{`"UpgradePublic":{"CommR":[144,`, `"UpgradePublic":{"CommR":[145,`}, "its UpgradePublic.CommR is not that of its SealedCID"},
		{"UpgradePublic undefined", "offline", snap, []string{`},"Activation"`, `},"SealedCID":null,"Activation"`}, "its UpgradePublic.SealedCID is undefined"},
		{"provider", "offline", deal, []string{`"Provider":"f01000"`, `"Provider":"f01001"`}, "has a deal with f01001, and the sector is of miner 1000"},
		{"piece size", "offline", deal, []string{`"PieceSize":1024`, `"PieceSize":512`}, "and the deal in it is about"},
		{"piece CID", "offline", deal, []string{`"PieceCID":{"/":"baga6ea4seaqfasr4zipifni3mps6britjuukdwiqq2i56jwipwroncvsrwk7qpq"},"PieceSize"`, `"PieceCID":{"/":"baga6ea4seaqb66wjlfkrbye6uqoemcyxmqylwmrm235uclwfpsyx3ge2imidoly"},"PieceSize"`}, "and the deal in it is about"},
		{"piece undefined", "offline", deal, []string{`{"Size":1024,"PieceCID":{`, `{"Size":1024,"PieceCID":null,"X":{`}, "Piece.PieceCID is undefined"},
		{"pieces too large", "offline", deal, []string{`"Size":1024`, `"Size":4096`, `"PieceSize":1024`, `"PieceSize":4096`}, "larger than the 2048 bytes"},
		{"pieces overflow", "offline", deal, []string{`"Size":1024`, `"Size":9223372036854775808`, `"PieceSize":1024`, `"PieceSize":9223372036854775808`}, "larger than the 2048 bytes"},
		{"flags only", "offline", deal, []string{`"DealInfo":null`, `"DealInfo":{"IsBuiltinMarket":false,"IsCompatible":false}`}, "Pieces[1] has a DealInfo that says nothing of a deal, at which damocles crashes"},
		{"flags only, another case", "offline", deal, []string{`"DealInfo":null`, `"dealinfo":{}`}, "at which damocles crashes"},
		{"legacy provider", "offline", legacy, []string{`"Provider":"f01000"`, `"Provider":"f02"`}, "has a deal with f02"},
		{"legacy size", "offline", legacy, []string{`"PieceSize":`, `"PieceSize":1`}, "and the proposal in it is about"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			raw := string(fixtureState(t, tt.state))
			for i := 0; i < len(tt.change); i += 2 {
				changed := strings.Replace(raw, tt.change[i], tt.change[i+1], 1)
				if changed == raw {
					t.Fatalf("%s does not have %s", tt.state, tt.change[i])
				}
				raw = changed
			}
			w.refuses(tt.want, "ImportSector", tt.ws, json.RawMessage(raw), true)
		})
	}
	w.t = t
	if w.stored(damocles.Offline, 100) != nil {
		t.Error("a refused record was written")
	}
}

func TestImportAnswers(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.is("false", "ImportSector", "offline", json.RawMessage("null"), true)
	w.refuses("import: kv for worker state sideways does not exist", "ImportSector", "sideways", fixtureState(t, "100-offline-cc"), false)
	w.refuses("save: kv for worker state sideways does not exist", "ImportSector", "sideways", fixtureState(t, "100-offline-cc"), true)
	// One that is in the other workspace, with or without override.
	online := strings.Replace(string(fixtureState(t, "117-online-online-on-chain")), `"Finalized":false`, `"Finalized":true`, 1)
	for _, override := range []bool{false, true} {
		w.refuses("sector s-t01000-117 is not imported: it is online; finalize it first", "ImportSector", "offline", json.RawMessage(online), override)
	}
	offline := strings.Replace(string(fixtureState(t, "100-offline-cc")), `"Finalized":true`, `"Finalized":false`, 1)
	w.refuses("it is offline; restore it", "ImportSector", "online", json.RawMessage(offline), true)
	// Keys that nobody knows are dropped, as by the original; case does not matter.
	raw := string(fixtureState(t, "100-offline-cc"))
	odd := strings.Replace(strings.Replace(raw, `{"ID"`, `{"New":1,"id"`, 1), `"Number":100`, ` "number" : 4000 `, 1)
	w.is("true", "ImportSector", "offline", json.RawMessage(odd), false)
	if got, want := string(w.stored(damocles.Offline, 4000)), strings.Replace(raw, `"Number":100`, `"Number":4000`, 1); got != want {
		t.Errorf("got %s", got)
	}
}

// A write leaves a line in the log, with the sector; what only looks does not.
func TestWritesAreLogged(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.call("FindSector", "offline", sid(100))
	w.call("ListSectors", "offline", 0)
	if text := w.log.String(); strings.Contains(text, "Venus.") {
		t.Errorf("a look is logged:\n%s", text)
	}
	w.call("ImportSector", "offline", fixtureState(t, "100-offline-cc"), true)
	w.call("RestoreSector", sid(103), false)
	for _, want := range []string{
		"msg=written method=Venus.ImportSector sector=s-t01000-100",
		`msg="a write failed" method=Venus.RestoreSector sector=s-t01000-103 error=`,
	} {
		if text := w.log.String(); !strings.Contains(text, want) {
			t.Errorf("the log does not say %q:\n%s", want, text)
		}
	}
}
