package testkit

import (
	"encoding/json"
	"strings"
	"testing"
)

// ServeStores lets the stand-in answer for the stores of the fixtures, too. They
// lie in dir; "" leaves them where the fixtures say. It has to be called before
// anybody else calls the stand-in.
func (d *DamoclesServer) ServeStores(t testing.TB, dir string) {
	t.Helper()
	list := result(t, "rpc/damocles-manager/StoreList.json")
	if dir != "" {
		list = json.RawMessage(strings.ReplaceAll(string(list), `"/storage/`, `"`+dir+`/`))
	}
	basics := basicInfos(t, list)
	index := fixtureIndex(t)
	d.methods["Venus.StoreList"] = method{call: func([]json.RawMessage) (any, error) { return list, nil }}
	d.methods["Venus.StoreBasicInfo"] = method{params: 1, call: func(params []json.RawMessage) (any, error) {
		info, ok := basics[strings.Trim(string(params[0]), `"`)]
		if !ok {
			return json.RawMessage("null"), nil
		}
		return info, nil
	}}
	d.methods["Venus.SectorIndexerFind"] = method{params: 2, call: func(params []json.RawMessage) (any, error) {
		var id sectorID
		if err := json.Unmarshal(params[1], &id); err != nil {
			return nil, err
		}
		var answer indexAnswer
		answer.Instance, answer.Found = index[strings.Trim(string(params[0]), `"`)+id.key()]
		return answer, nil
	}}
}

// basicInfo has the order in which damocles writes it.
type basicInfo struct {
	Name             string
	Path             string
	Strict, ReadOnly bool
	Weight           uint
	Meta             map[string]string
}

func basicInfos(t testing.TB, list json.RawMessage) map[string]basicInfo {
	t.Helper()
	var infos []basicInfo
	if err := json.Unmarshal(list, &infos); err != nil {
		t.Fatal(err)
	}
	out := map[string]basicInfo{}
	for _, info := range infos {
		out[info.Name] = info
	}
	return out
}

type indexAnswer struct {
	Found    bool
	Instance struct{ SealedFile, CacheDir string }
}

// fixtureIndex is what the index of the fixtures says, by kind and key.
func fixtureIndex(t testing.TB) map[string]struct{ SealedFile, CacheDir string } {
	t.Helper()
	var sectors []struct {
		Miner, Number                      uint64
		Sealed, Cache, Update, UpdateCache string
	}
	readJSON(t, Fixture(t, "switch-2k/sectors.json"), &sectors)
	name := func(path string) string {
		dir, _, _ := strings.Cut(path, "/")
		return map[string]string{"damocles-1": "t01000_01", "damocles-2": "t01000_02"}[dir]
	}
	out := map[string]struct{ SealedFile, CacheDir string }{}
	for _, s := range sectors {
		key := sectorID{s.Miner, s.Number}.key()
		for kind, at := range map[string][2]string{"normal": {s.Sealed, s.Cache}, "upgrade": {s.Update, s.UpdateCache}} {
			if name(at[0]) != "" {
				out[kind+key] = struct{ SealedFile, CacheDir string }{name(at[0]), name(at[1])}
			}
		}
	}
	return out
}
