package damocles

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/testkit"
)

// fakeDisk is a disk of directories and of sectorstore.json files in them.
type fakeDisk map[string]string

func (d fakeDisk) disk() configDisk {
	return configDisk{
		stat: func(path string) (fs.FileInfo, error) {
			if _, ok := d[path]; !ok {
				return nil, fs.ErrNotExist
			}
			if strings.HasSuffix(path, storeJSONName) {
				return os.Stat("config_check_test.go")
			}
			return os.Stat(".")
		},
		glob: func(pattern string) ([]string, error) {
			if _, err := filepath.Match(pattern, ""); err != nil {
				return nil, err
			}
			var out []string
			for path := range d {
				if ok, _ := filepath.Match(pattern, path); ok && !strings.HasSuffix(path, storeJSONName) {
					out = append(out, path)
				}
			}
			return out, nil
		},
		read: func(path string) ([]byte, error) { return []byte(d[path]), nil },
		real: func(path string) (string, error) {
			if to, ok := strings.CutPrefix(d[path], "->"); ok {
				return to, nil
			}
			return path, nil
		},
	}
}

var testDisk = fakeDisk{
	"/s/1": "", "/s/2": "", "/s/link": "->/s/1", "/s/plain": "",
	"/j/good": "", "/j/good/sectorstore.json": `{"ID":"id-1","Name":"","AllowMiners":[1000],"CanSeal":true}`,
	"/j/good2": "", "/j/good2/sectorstore.json": `{"Name":"named"}`,
	"/b/lotus": "", "/b/lotus/sectorstore.json": `{"ID":"x","AllowMiners":["t01000"]}`,
	"/b/half": "", "/b/half/sectorstore.json": `{"ID":`,
	"/b/weight": "", "/b/weight/sectorstore.json": `{"Weight":-1}`,
}

// secrets stand in the texts of the tables below, and never in what is told.
var secrets = []string{"hush", "s3cr3t"}

const store1 = "[[Common.PersistStores]]\nName = 'a'\nPath = '/s/1'\n"

var badConfigs = []struct {
	name  string
	text  string
	line  int
	key   string
	says  string
	fatal bool
}{
	// the text itself
	{"no quotes", "[Common]\n[Common.API]\nToken = hush\n", 3, "", "this is no TOML", true},
	{"half quotes", "[Common]\n[Common.API]\nToken = \"hush\n", 3, "", "this is no TOML", true},
	{"no value", "[Common]\nScanPersistStores =\n", 2, "", "this is no TOML", true},
	{"no equals", "[Common]\nScanPersistStores [1]\n", 2, "", "expected '='", true},
	{"open list", "[Common]\nScanPersistStores = [\"/j/good\"\n[Common.DB]\n", 3, "", "in what begins on line 2", true},
	{"open header", "[Common\nx = 1\n", 1, "", "this is no TOML", true},
	{"not UTF-8", "[Common]\n# caf\xe9\n", 2, "", "UTF-8", true},
	{"CRLF", "[Common]\r\n[Common.API]\r\nToken = hush\r\n", 3, "", "this is no TOML", true},
	{"key twice", "[Common.API]\nToken = 'hush'\nToken = 's3cr3t'\n", 3, "Token", "first on line 2", true},
	{"section twice", "[Common]\n[Common.DB]\n[Common.DB]\n", 3, "Common.DB", "first on line 2", true},
	{"section over a key", "[Common]\nDB = 1\n[Common.DB.Badger]\n", 3, "Common.DB", "first on line 2", true},
	{"key of a section, dotted", "[Common]\n[Common.API]\n[[Miners]]\nActor = 1\nSector.Enabled = true\nSector.Enabled = true\n", 6, "Sector.Enabled", "twice", true},
	{"two spellings", "[Common.API]\nToken = 'hush'\ntoken = 's3cr3t'\n", 3, "Common.API.Token", "the same to damocles-manager", true},
	{"two spellings of a section", "[Common.DB]\n[common.API]\n", 2, "Common", "the same to damocles-manager", true},
	{"list, then section", "[[Miners]]\nActor = 1\n[Miners]\n", 3, "Miners", "twice", true},
	// kinds
	{"text for a bool", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nEnabled = \"true\"\n", 4, "Miners[0].PoSt.Enabled", "takes true or false, and has a text", true},
	{"number for a text", "[Common.API]\nToken = 5\n", 2, "Common.API.Token", "has a whole number", true},
	{"text for a list", "[Common.API]\nGateway = \"/ip4/127.0.0.1/tcp/1\"\n", 2, "Common.API.Gateway", "is a list, and has a text", true},
	{"number for a section", "[Common]\nDB = 5\n", 2, "Common.DB", "is a section", true},
	{"single brackets", "[Common.PersistStores]\nPath = '/s/1'\n", 1, "Common.PersistStores", "is a list, and has a section", true},
	{"double brackets", "[[Common.DB]]\nDriver = 'badger'\n", 1, "Common.DB", "is a section, and has a list", true},
	{"miner as an address", "[[Miners]]\nActor = \"f01000\"\n", 2, "Miners[0].Actor", "takes a number", true},
	{"miners as addresses", store1 + "AllowMiners = [\n  1000,\n  \"t01001\",\n]\n", 6, "Common.PersistStores[0].AllowMiners[1]", "takes a number", true},
	{"denied miners as addresses", store1 + "DenyMiners = [\"t01001\"]\n", 4, "Common.PersistStores[0].DenyMiners[0]", "takes a number", true},
	{"number in a list of texts", "[Common]\nScanPersistStores = [1]\n", 2, "Common.ScanPersistStores[0]", "a text", true},
	{"number in Meta", store1 + "[Common.PersistStores.Meta]\nKey = 5\n", 5, "Common.PersistStores[0].Meta.Key", "a text", true},
	{"point in a number", "[[Miners]]\nActor = 1\n[Miners.Sector]\nLifetimeDays = 1.5\n", 4, "Miners[0].Sector.LifetimeDays", "number with a point", true},
	{"date for a time", "[Common.Proving]\nSingleCheckTimeout = 1979-05-27\n", 2, "Common.Proving.SingleCheckTimeout", "has a date", true},
	// ranges
	{"negative time", "[Common.Proving]\nSingleCheckTimeout = \"-1s\"\n", 2, "Common.Proving.SingleCheckTimeout", "negative", true},
	{"time without a unit", "[Common.API]\nChainEventInterval = 60\n", 2, "Common.API.ChainEventInterval", "takes a time", true},
	{"no time", "[Common.API]\nChainEventInterval = \"soon\"\n", 2, "Common.API.ChainEventInterval", "takes a time", true},
	{"nanoseconds", "[Common.Proving.WorkerProver]\nHeartbeatTimeout = 15\n", 2, "Common.Proving.WorkerProver.HeartbeatTimeout", "nanoseconds", false},
	{"negative weight", store1 + "Weight = -1\n", 4, "Common.PersistStores[0].Weight", "negative", true},
	{"negative miner", store1 + "AllowMiners = [-1]\n", 4, "Common.PersistStores[0].AllowMiners[0]", "negative", true},
	{"too many tries", "[Common.Proving.WorkerProver]\nJobMaxTry = 5_000_000_000\n", 2, "Common.Proving.WorkerProver.JobMaxTry", "larger", true},
	{"negative limit", "[Common.Proving]\nParallelCheckLimit = -1\n", 2, "Common.Proving.ParallelCheckLimit", "negative", false},
	{"a huge number", "[[Miners]]\nActor = 99999999999999999999\n", 2, "Miners[0].Actor", "too large", true},
	{"infinite factor", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nGasOverEstimation = inf\n", 4, "Miners[0].PoSt.GasOverEstimation", "finite", true},
	{"negative factor", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nGasOverEstimation = -1.0\n", 4, "Miners[0].PoSt.GasOverEstimation", "negative", true},
	{"MinNumber above MaxNumber", "[[Miners]]\nActor = 1\n[Miners.Sector]\nMaxNumber = 10\nMinNumber = 20\n", 5, "Miners[0].Sector.MaxNumber", "get no numbers", false},
	{"MinNumber at MaxNumber", "[[Miners]]\nActor = 1\n[Miners.Sector]\nMinNumber = 10\nMaxNumber = 10\n", 5, "Miners[0].Sector.MaxNumber", "none is left", false},
	{"InitNumber above MaxNumber", "[[Miners]]\nActor = 1\n[Miners.Sector]\nInitNumber = 20\nMaxNumber = 10\n", 5, "Miners[0].Sector.MaxNumber", "InitNumber", false},
	// amounts and addresses
	{"no amount", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nGasFeeCap = \"cheap\"\n", 4, "Miners[0].PoSt.GasFeeCap", "no amount", true},
	{"unknown unit", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nGasFeeCap = \"5 gwei\"\n", 4, "Miners[0].PoSt.GasFeeCap", "unit", true},
	{"below an attoFIL", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nGasFeeCap = \"0.5 attoFIL\"\n", 4, "Miners[0].PoSt.GasFeeCap", "finer", true},
	{"negative amount", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nGasFeeCap = \"-5 nanoFIL\"\n", 4, "Miners[0].PoSt.GasFeeCap", "negative", true},
	{"amount without a unit", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nGasFeeCap = 5\n", 4, "Miners[0].PoSt.GasFeeCap", "whole FIL", false},
	{"no address", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nSenders = [\"f0101\", \"f1abc\"]\n", 4, "Miners[0].PoSt.Senders[1]", "no address", true},
	{"no sender", "[[Miners]]\nActor = 1\n[Miners.PoSt]\nSender = \"f0\"\n", 4, "Miners[0].PoSt.Sender", "no address", true},
	{"example left in", "[Common.API]\nChain = \"/ip4/{api_host}/tcp/{api_port}\"\n", 2, "Common.API.Chain", "no address of a node", true},
	{"bad gateway", "[Common.API]\nGateway = [\n  \"/ip4/127.0.0.1/tcp/1\",\n  \"hush:/ip4/1.2.3/tcp/1\",\n]\n", 4, "Common.API.Gateway[1]", "no address of a node", true},
	// keys
	{"unknown key", "[Common]\nFrobnicate = 1\n", 2, "Common.Frobnicate", "knows no such key", false},
	{"a near key", "[[Miners]]\nActor = 1\n[Miners.Sector]\nMinNumer = 5\n", 4, "Miners[0].Sector.MinNumer", "knows no such key", false},
	{"in the wrong section", "[Common]\nMinNumber = 1\n", 2, "Common.MinNumber", "knows no such key", false},
	{"unknown section", "[Extra]\nHush = 'hush'\n", 1, "Extra", "knows no such key", false},
	{"quoted unknown key", "[Common]\n\"a b\" = 1\n", 2, `Common."a b"`, "knows no such key", false},
	{"a key of v0.5", "[[Miners]]\nActor = 1\n[Miners.Deal]\nEnabled = true\n", 3, "Miners[0].Deal", "no longer", false},
	{"batches as they were", "[[Miners]]\nActor = 1\n[Miners.Commitment.Pre.Batch]\nEnabled = true\n", 4, "Miners[0].Commitment.Pre.Batch.Enabled", "no longer", false},
	// stores
	{"no path", "[[Common.PersistStores]]\nName = 'a'\n", 1, "Common.PersistStores[0].Path", "not set", false},
	{"an empty section", "[[Common.PersistStores]]\n[Common.PersistStores.Meta]\n", 1, "Common.PersistStores[0].Path", "not set", false},
	{"no such directory", "[[Common.PersistStores]]\nPath = '/s/none'\n", 2, "Common.PersistStores[0].Path", `no directory "/s/none"`, true},
	{"a file", "[[Common.PersistStores]]\nPath = '/j/good/sectorstore.json'\n", 2, "Common.PersistStores[0].Path", "is no directory", true},
	{"relative path", "[[Common.PersistStores]]\nPath = 's/1'\n", 2, "Common.PersistStores[0].Path", "not absolute", false},
	{"home in a path", "[[Common.PersistStores]]\nPath = '~/s'\n", 2, "Common.PersistStores[0].Path", "~ is not your home", false},
	{"same name", store1 + "[[Common.PersistStores]]\nName = 'a'\nPath = '/s/2'\n", 5, "Common.PersistStores[1].Name", "line 2", true},
	{"name of a path", "[[Common.PersistStores]]\nPath = '/s/1'\n[[Common.PersistStores]]\nName = '/s/1'\nPath = '/s/2'\n", 4, "Common.PersistStores[1].Name", "is named", true},
	{"same path", store1 + "[[Common.PersistStores]]\nName = 'b'\nPath = '/s/1'\n", 6, "Common.PersistStores[1].Path", "line 3", false},
	{"same path through a link", store1 + "[[Common.PersistStores]]\nName = 'b'\nPath = '/s/link'\n", 6, "Common.PersistStores[1].Path", "line 3", false},
	{"in line", "[Common]\nPersistStores = [\n { Name = 'a', Path = '/s/1' },\n { Name = 'b', Path = '/s/none' },\n]\n", 4, "Common.PersistStores[1].Path", "no directory", true},
	{"plugin", store1 + "PluginName = 's3'\n", 3, "Common.PersistStores[0].PluginName", "plugin", false},
	{"pieces", "[[Common.PieceStores]]\nPath = '/s/none'\n", 2, "Common.PieceStores[0].Path", "no directory", false},
	// scans
	{"no pattern", "[Common]\nScanPersistStores = [\"/j/[\"]\n", 2, "Common.ScanPersistStores[0]", "no pattern", true},
	{"nothing matches", "[Common]\nScanPersistStores = [\n\"/j/good\",\n\"/none/*\"]\n", 4, "Common.ScanPersistStores[1]", "nothing matches", false},
	{"no store matches", "[Common]\nScanPersistStores = [\"/s/*\"]\n", 2, "Common.ScanPersistStores[0]", "holds a sectorstore.json", false},
	{"file of lotus", "[Common]\nScanPersistStores = [\n\n\"/b/lotus\"]\n", 4, "Common.ScanPersistStores[0]", "AllowMiners", true},
	{"half a file", "[Common]\nScanPersistStores = [\"/b/half\"]\n", 2, "Common.ScanPersistStores[0]", "/b/half/sectorstore.json", true},
	{"weight in a file", "[Common]\nScanPersistStores = [\"/b/weight\"]\n", 2, "Common.ScanPersistStores[0]", "Weight", true},
	{"listed and scanned", "[Common]\nScanPersistStores = [\"/j/*\"]\n[[Common.PersistStores]]\nName = 'id-1'\nPath = '/s/1'\n", 2, "Common.ScanPersistStores[0]", "is named \"id-1\"", true},
	{"listed and scanned, other name", "[Common]\nScanPersistStores = [\"/j/*\"]\n[[Common.PersistStores]]\nName = 'x'\nPath = '/j/good'\n", 2, "Common.ScanPersistStores[0]", "another store, too", false},
	// database
	{"unknown driver", "[Common.DB]\nDriver = \"redis\"\n", 2, "Common.DB.Driver", "no driver", true},
	{"mongo without a server", "[Common.DB]\nDriver = \"Mongo\"\n[Common.DB.Mongo]\nDatabaseName = 'x'\n", 3, "Common.DB.Mongo.DSN", "needs it", true},
	{"mongo without a section", "[Common.DB]\nDriver = \"mongo\"\n", 2, "Common.DB.Mongo.DatabaseName", "needs it", true},
	{"no DSN", "[Common.DB]\nDriver = \"mongo\"\n[Common.DB.Mongo]\nDSN = 'root:s3cr3t@host'\nDatabaseName = 'x'\n", 4, "Common.DB.Mongo.DSN", "no address", true},
	{"old mongo", "[Common.MongoKVStore]\nEnable = true\n", 1, "Common.MongoKVStore.DSN", "needs it", true},
	{"old mongo goes first", "[Common.DB]\nDriver = 'badger'\n[Common.MongoKVStore]\nEnable = true\nDSN = 'mongodb://s3cr3t'\nDatabaseName = 'x'\n", 4, "Common.MongoKVStore.Enable", "goes before", false},
	{"plugin driver", "[Common.DB]\nDriver = \"plugin\"\n", 2, "Common.DB.Driver", "plugin", true},
	{"relative databases", "[Common.DB.Badger]\nBaseDir = 'db'\n", 2, "Common.DB.Badger.BaseDir", "not absolute", false},
	// miners
	{"no actor", "[[Miners]]\n[Miners.Sector]\n", 1, "Miners[0].Actor", "not set", false},
	{"same miner", "[[Miners]]\nActor = 1000\n[[Miners]]\nActor = 1_000\n", 4, "Miners[1].Actor", "line 2", false},
}

func TestCheckConfigBad(t *testing.T) {
	for _, c := range badConfigs {
		t.Run(c.name, func(t *testing.T) {
			problems := checkConfig("sector-manager.cfg", []byte(c.text), testDisk.disk())
			found := false
			for _, p := range problems {
				found = found || p.Line == c.line && p.Key == c.key && strings.Contains(p.Text, c.says) && p.Fatal == c.fatal
				if p.Hint == "" || p.Text == "" {
					t.Errorf("%+v says too little", p)
				}
			}
			if !found {
				t.Errorf("%s\nwant line %d, %s: %q, fatal %t\ngot %+v", c.text, c.line, c.key, c.says, c.fatal, problems)
			}
			checkProblems(t, c.text, problems)
		})
	}
}

// checkProblems checks what holds for the problems of every text.
func checkProblems(t *testing.T, text string, problems []ConfigProblem) {
	t.Helper()
	refused(t, text, problems)
	for _, p := range problems {
		for _, secret := range secrets {
			if strings.Contains(p.Text+p.Hint+p.Key, secret) {
				t.Errorf("gives %q away: %+v", secret, p)
			}
		}
		for _, foreign := range []string{"Go ", "rpc.", "strconv", "%!", "<nil>"} {
			if strings.Contains(p.Text+p.Hint, foreign) {
				t.Errorf("speaks Go: %+v", p)
			}
		}
	}
}

// refused checks that lines are in the text and in order, and that what
// LoadConfig refuses is refused.
func refused(t *testing.T, text string, problems []ConfigProblem) {
	t.Helper()
	lines, fatal := len(strings.Split(strings.TrimSuffix(text, "\n"), "\n")), false
	for i, p := range problems {
		fatal = fatal || p.Fatal
		if p.Line < 1 || p.Line > lines || i > 0 && p.Line < problems[i-1].Line {
			t.Errorf("line %d of %d in %q", p.Line, lines, text)
		}
	}
	cfg, err := decodeConfig("x", []byte(text))
	if err == nil {
		err = cfg.complete()
	}
	if err != nil && !fatal {
		t.Errorf("LoadConfig says %v, and nothing is fatal in %+v of\n%s", err, problems, text)
	}
}

func TestCheckConfigHints(t *testing.T) {
	for text, want := range map[string]string{
		"[[Miners]]\nActor = 1\n[Miners.Sector]\nMinNumer = 5\n":   "did you mean MinNumber?",
		"[Common]\nPersistStore = []\n":                            "did you mean PersistStores?",
		"[Common]\nMinNumber = 1\n":                                "it belongs into [Miners.Sector]",
		"[Common.Plugins]\nPath = '/s/1'\n":                        "[[Common.PieceStores]] or [[Common.PersistStores]]",
		"PersistStores = []\n":                                     "it belongs into [Common]",
		"[[Miners]]\nActor = \"f01000\"\n":                         "write it as 1000, without f0",
		"[Common]\nScanPersistStores = [\"/b/lotus\"]\n":           `lotus-miner writes miners as "t01000"`,
		"[Common.PersistStores]\nPath = '/s/1'\n":                  "write it as [[Common.PersistStores]]",
		"[[Miners]]\nActor = 1\n[Miners.PoSt]\nGasFeeCap = 'x'\n":  `"5 nanoFIL"`,
		"[[Miners]]\nActor = 1\n[Miners.PoSt]\nEnabled = 'true'\n": "Enabled = true",
	} {
		problems := checkConfig("x", []byte(text), testDisk.disk())
		if len(problems) == 0 || !strings.Contains(problems[len(problems)-1].Hint, want) {
			t.Errorf("%q: got %+v, want %q", text, problems, want)
		}
	}
}

// All that is wrong is told at once, also behind a line that is no TOML.
func TestCheckConfigAllAtOnce(t *testing.T) {
	text := `[Common]
Frob = 1
[Common.API]
Token = hush
Gateway = [
  "/ip4/127.0.0.1/tcp/1",
  "nowhere",
]
[[Common.PersistStores]]
Name = "a"
Path = "/s/none"
Weight = "heavy"
[[Common.PersistStores]]
Name = 'a"
Path = "/s/2"
[[Miners]]
Actor = "f01000"
[Miners.PoSt]
Confidence = [1,
Enabled = 3
`
	got := map[int]bool{}
	problems := checkConfig("x", []byte(text), testDisk.disk())
	checkProblems(t, text, problems)
	for _, p := range problems {
		got[p.Line] = true
	}
	for _, line := range []int{2, 4, 7, 11, 12, 14, 17, 20} {
		if !got[line] {
			t.Errorf("nothing is told of line %d: got %v", line, got)
		}
	}
}

func TestCheckConfigGood(t *testing.T) {
	for _, text := range []string{
		"",
		"\xef\xbb\xbf[Common]\n",
		"[Common]\r\nScanPersistStores = ['/j/*']\r\n",
		store1 + "[[Common.PersistStores]]\nName = 'b'\nPath = '/s/2'\nAllowMiners = [1000]\n",
		"[COMMON.api]\nGATEWAY = ['hush:/ip4/127.0.0.1/tcp/1', 'https://example.org/rpc/v0']\n",
		"Common.DB.Driver = 'Badger'\n",
		"[Common.DB]\nDriver = 'mongo'\nMongo = { DSN = 'mongodb://u:s3cr3t@h', DatabaseName = 'd' }\n",
		"[[Miners]]\nActor = 1000\n[Miners.PoSt]\nSender = '<empty>'\nMaxFeeCap = ''\nGasOverPremium = 1\n[[Miners]]\nActor = 1001\n",
	} {
		if problems := checkConfig("x", []byte(text), testDisk.disk()); len(problems) > 0 {
			t.Errorf("%q: got %+v", text, problems)
		}
	}
}

// What operators have in their files, after the public documentation of damocles
// and venus, and notes of users: the original starts with each of these, so none
// may be refused. Directories are those of the test's disk.
func TestCheckConfigOfUsers(t *testing.T) {
	for name, text := range map[string]string{
		"as the original's daemon init leaves it": `# Default config:
[Common]
[Common.API]
#Gateway = ["/ip4/{api_host}/tcp/{api_port}"]
[[Common.PieceStores]]
#Path = "{store_path}"
[Common.PieceStores.Meta]
#SomeKey = "SomeValue"
[Common.PieceStorePreset]
[Common.PieceStorePreset.Meta]
[[Common.PersistStores]]
#Name = "{store_name}"
[Common.PersistStores.Meta]
#SomeKey = "SomeValue"
[Common.DB]
[Common.DB.Badger]
[Common.Proving]
[Common.Proving.WorkerProver]
JobMaxTry = 2
HeartbeatTimeout = "15s"
JobLifetime = "25h0m0s"
[[Miners]]
#Actor = 10086
[Miners.Sector]
[Miners.SnapUp.Retry]
[Miners.Commitment.Pre.Batch]
[Miners.PoSt]
`,
		"stores by scan, and the section of daemon init": "[Common]\nScanPersistStores = ['/j/*']\n[[Common.PersistStores]]\n[Common.PersistStores.Meta]\n",
		"of v0.4": `[Common]
  [Common.API]
    Chain = "/ip4/127.0.0.1/tcp/3453"
    Gateway = ["/ip4/127.0.0.1/tcp/45132"]
[[Common.PersistStores]]
  Name = "a"
  Path = "/s/1"
[[Miners]]
  Actor = 33680
  [Miners.SnapUp]
    MessageConfidential = 15
    ReleaseCondidential = 30
  [Miners.Commitment.Pre]
    Sender = "t1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za"
  [Miners.Commitment.Pre.Batch]
    Enabled = true
    MaxFeeCap = "5 nanoFIL"
  [Miners.Deal]
    Enabled = true
`,
		"MongoDB of v0.5, off": "[Common.MongoKVStore]\nEnable = false\nDSN = \"mongodb://127.0.0.1:27017/?directConnection=true\"\nDatabaseName = \"test\"\n",
		"addresses of nodes": `[Common.API]
Chain = "https://api.node.glif.io/rpc/v1"
Messager = "/dns/messager.example.org/tcp/443/https"
Market = "/dns4/market.example.org/tcp/443/wss"
Gateway = ["ws://10.0.0.3:45132", "eyJ.eyJ.sig:/dns4/gw.example.org/tcp/45132", "/ip6/::1/tcp/45132", "http://[::1]:3453", "/ip4/127.0.0.1/tcp/3453/ws"]
`,
		"amounts":               "[[Miners]]\nActor = 1\n[Miners.PoSt]\nGasFeeCap = '5nanofil'\nMaxFeeCap = '10 nfil'\nSenders = []\n[Miners.SnapUp]\nSender = ''\nGasFeeCap = '0'\n[Miners.Commitment.Pre.Batch]\nBatchCommitAboveBaseFee = 0\n",
		"no bound as -1":        "[Common.Proving]\nParallelCheckLimit = -1\n[[Miners]]\nActor = 1\n[Miners.SnapUp.Retry]\nMaxAttempts = -1\n",
		"no new sectors":        "[[Miners]]\nActor = 1\n[Miners.Sector]\nMinNumber = 2000\nMaxNumber = 1000\n",
		"a store for two lists": store1 + "AllowMiners = [1]\n[[Common.PersistStores]]\nName = 'b'\nPath = '/s/1'\nAllowMiners = [2]\n",
		"a plugin's store":      "[Common.Plugins]\nDir = '/root/plugins'\n[[Common.PersistStores]]\nName = 's3'\nPath = 'bucket/prefix'\nPlugin = ''\nPluginName = 's3store'\n",
		"keys of a newer one":   "[Common.Proving]\nSomethingNew = 1\n[Miners2]\nX = 1\n",
	} {
		for _, p := range checkConfig("x", []byte(text), testDisk.disk()) {
			if p.Fatal {
				t.Errorf("%s is refused: %+v", name, p)
			}
		}
		cfg, err := decodeConfig("x", []byte(text))
		if err == nil {
			err = cfg.complete()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range cfg.Common.PersistStores {
			if s.Path == "" {
				t.Errorf("%s: the directory of the process would be the store %q", name, s.Name)
			}
		}
	}
}

// On the real disk: the fixture's stores are not there, and nothing else is
// wrong; then with real directories, a link among them.
func TestCheckConfigOnDisk(t *testing.T) {
	path := filepath.Join(testkit.Fixture(t, "switch-2k/damocles-home"), ConfigName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	problems := CheckConfig(path, raw)
	if len(problems) != 2 || problems[0].Line != 7 || problems[1].Line != 10 || !problems[0].Fatal {
		t.Errorf("got %+v", problems)
	}
	dir := t.TempDir()
	for _, name := range []string{"1", "2"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.NewReplacer("/storage/damocles-", dir+"/").Replace(string(raw))
	if problems := CheckConfig(path, []byte(text)); len(problems) != 0 {
		t.Errorf("got %+v", problems)
	}
	if err := os.Remove(filepath.Join(dir, "2")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("1", filepath.Join(dir, "2")); err != nil {
		t.Fatal(err)
	}
	if problems := CheckConfig(path, []byte(text)); len(problems) != 1 || problems[0].Fatal || problems[0].Line != 10 {
		t.Errorf("got %+v", problems)
	}
}

func TestCheckConfigManyStores(t *testing.T) {
	var text strings.Builder
	for range 20_000 {
		text.WriteString("[[Common.PersistStores]]\nName = 'a'\nPath = '/s/1'\nBad = hush\n")
	}
	if got := checkConfig("x", []byte(text.String()), testDisk.disk()); len(got) < maxFlaws {
		t.Errorf("got %d problems", len(got))
	}
}

func FuzzCheckConfig(f *testing.F) {
	for _, c := range badConfigs {
		f.Add(c.text)
	}
	f.Add(string(InitConfig()))
	f.Add(uncommented(InitConfig()))
	f.Add("a = [[[{b = [1, {c = \"\"\"\nx\n\"\"\"}]}]]]\n'q'.\"r\\n\" = 1979-05-27T07:32:00Z\n[[x.y]]\n[x.y.z]\n")
	f.Fuzz(func(t *testing.T, text string) {
		refused(t, text, checkConfig("sector-manager.cfg", []byte(text), testDisk.disk()))
		cfg := Config{raw: []byte(text)}
		_, _, _ = cfg.MinerJSON(1000)
	})
}
