package sample

import (
	"os"
	"testing"

	"damocles-manager/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.InMemory(m)) }
