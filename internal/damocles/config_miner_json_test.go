package damocles

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"damocles-manager/internal/testkit"
)

const (
	feesJSON  = `"GasOverEstimation":1.2,"GasOverPremium":0,"GasFeeCap":5000000000,"MaxFeeCap":null`
	batchJSON = `"Batch":{"BatchCommitAboveBaseFee":0,"Threshold":16,"MaxWait":"1h0m0s","CheckInterval":"1m0s",` + feesJSON + `}`
	// defaultMinerJSON is a section that has nothing but its Actor.
	defaultMinerJSON = `{"Actor":1000,"Sector":{"InitNumber":0,"MinNumber":null,"MaxNumber":null,"Enabled":true,"EnableDeals":false,"LifetimeDays":540,"Verbose":false},` +
		`"SnapUp":{"Enabled":false,"Sender":null,"Senders":null,"SendFund":true,` + feesJSON + `,"CleanupCCData":true,"MessageConfidential":null,"ReleaseCondidential":null,` +
		`"MessageConfidence":15,"ReleaseConfidence":30,"Retry":{"MaxAttempts":null,"PollInterval":"3m0s","APIFailureWait":"3m0s","LocalFailureWait":"3m0s"}},` +
		`"Commitment":{"Confidence":10,"Pre":{"Sender":null,"Senders":null,"SendFund":true,` + feesJSON + `,` + batchJSON + `},` +
		`"Prove":{"Sender":null,"Senders":null,"SendFund":true,` + feesJSON + `,` + batchJSON + `},` +
		`"Terminate":{"Sender":null,"Senders":null,"SendFund":true,` + feesJSON + `,"Batch":{"BatchCommitAboveBaseFee":0,"Threshold":5,"MaxWait":"1h0m0s","CheckInterval":"1m0s",` + feesJSON + `}}},` +
		`"PoSt":{"Sender":null,"Senders":null,"Enabled":true,"StrictCheck":true,"Parallel":false,` + feesJSON + `,"Confidence":10,"SubmitConfidence":0,"ChallengeConfidence":0,` +
		`"MaxRecoverSectorLimit":0,"MaxPartitionsPerPoStMessage":0,"MaxPartitionsPerRecoveryMessage":0},"Proof":{"Enabled":false},` +
		`"Sealing":{"SealingEpochDuration":0,"UseSyntheticPoRep":false,"RequireActivationSuccess":false,"RequireActivationSuccessUpdate":false,"RequireNotificationSuccess":false,"RequireNotificationSuccessUpdate":false}}`
)

func TestMinerJSON(t *testing.T) {
	for name, c := range map[string]struct{ text, old, new string }{
		"defaults":             {"[[Miners]]\nActor = 1000", "", ""},
		"the second":           {"[[Miners]]\nActor = 1001\n[[Miners]]\nActor = 1000", "", ""},
		"the first of two":     {"[[Miners]]\nActor = 1000\n[[Miners]]\nActor = 1000\n[Miners.Proof]\nEnabled = true", "", ""},
		"numbers":              {"[[Miners]]\nActor = 1_000\n[Miners.Sector]\nMinNumber = 0x10\nMaxNumber = 2000", `"MinNumber":null,"MaxNumber":null`, `"MinNumber":16,"MaxNumber":2000`},
		"upper and lower case": {"[[miners]]\nactor = 1000\n[miners.post]\nENABLED = false", `"PoSt":{"Sender":null,"Senders":null,"Enabled":true`, `"PoSt":{"Sender":null,"Senders":null,"Enabled":false`},
		"dotted and in line":   {"[[Miners]]\nActor = 1000\nSnapUp.Retry = { MaxAttempts = 3, PollInterval = '90s' }", `"MaxAttempts":null,"PollInterval":"3m0s"`, `"MaxAttempts":3,"PollInterval":"1m30s"`},
		"addresses":            {"[[Miners]]\nActor = 1000\n[Miners.SnapUp]\nSender = \"t0102\"\nSenders = [\"t0101\", \"f0103\"]", `"SnapUp":{"Enabled":false,"Sender":null,"Senders":null`, `"SnapUp":{"Enabled":false,"Sender":"f0102","Senders":["f0101","f0103"]`},
		"no addresses":         {"[[Miners]]\nActor = 1000\n[Miners.SnapUp]\nSenders = []", `"SnapUp":{"Enabled":false,"Sender":null,"Senders":null`, `"SnapUp":{"Enabled":false,"Sender":null,"Senders":[]`},
		"amounts": {"[[Miners]]\nActor = 1000\n[Miners.SnapUp]\nGasOverEstimation = 2\nGasFeeCap = '0.5 nFIL'\nMaxFeeCap = '1 FIL'",
			`"SendFund":true,` + feesJSON + `,"CleanupCCData"`, `"SendFund":true,"GasOverEstimation":2,"GasOverPremium":0,"GasFeeCap":500000000,"MaxFeeCap":1000000000000000000,"CleanupCCData"`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := loadConfig(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			want := defaultMinerJSON
			if c.old != "" {
				want = strings.Replace(want, c.old, c.new, 1)
				if want == defaultMinerJSON {
					t.Fatalf("%s is not in the defaults", c.old)
				}
			}
			got, found, err := cfg.MinerJSON(1000)
			if err != nil || !found || string(got) != want {
				t.Errorf("got %s, %t, %v\nwant %s", got, found, err, want)
			}
		})
	}
}

// The fixture's file is one that the original served.
func TestMinerJSONFixture(t *testing.T) {
	cfg, err := LoadConfig(testkit.Fixture(t, "switch-2k/damocles-home"), env(nil))
	if err != nil {
		t.Fatal(err)
	}
	got, found, err := cfg.MinerJSON(1000)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	want := strings.ReplaceAll(defaultMinerJSON, `"Senders":null`, `"Senders":["f0101"]`)
	want = strings.Replace(want, `"Enabled":true,"StrictCheck"`, `"Enabled":false,"StrictCheck"`, 1)
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if _, found, err := cfg.MinerJSON(1001); found || err != nil {
		t.Errorf("1001: got %t, %v", found, err)
	}
}

func TestMinerJSONWithoutAFile(t *testing.T) {
	cfg, err := LoadConfig(t.TempDir(), env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, found, err := cfg.MinerJSON(1000); found || err != nil {
		t.Errorf("got %s, %t, %v", got, found, err)
	}
}

// The file may change while a daemon runs: it answers as of its start.
func TestMinerJSONIsOfTheLoadedFile(t *testing.T) {
	cfg, err := loadConfig(t, "[[Miners]]\nActor = 1000")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.Path, []byte("[[Miners"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, found, err := cfg.MinerJSON(1000); !found || err != nil || !json.Valid(got) || bytes.ContainsAny(got, " \n") {
		t.Errorf("got %s, %t, %v", got, found, err)
	}
}

func TestMinerJSONOfABadSection(t *testing.T) {
	for _, text := range []string{
		"[[Miners]]\nActor = 1000\n[Miners.PoSt]\nGasFeeCap = 'much'",
		"[[Miners]]\nActor = 1000\n[Miners.SnapUp.Retry]\nPollInterval = '3'",
		"[[Miners]]\nActor = 1000\nPoSt = 3",
		"[[Miners]]\nActor = 1000\n[Miners.PoSt]\nSenders = ['f0x']",
	} {
		cfg, err := loadConfig(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := cfg.MinerJSON(1000); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: got %s, %v", text, got, err)
		}
	}
}
