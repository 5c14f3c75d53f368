package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"damocles-manager/internal/testkit"
)

func TestMain(m *testing.M) {
	raw, err := os.ReadFile("../../testdata/fixtures/switch-2k/sectors.json")
	if err == nil {
		err = json.Unmarshal(raw, &fixture)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(testkit.InMemory(m))
}
