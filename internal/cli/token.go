package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
)

// readToken takes a token from a flag or from a file.
func readToken(flag, file string) (rpc.Token, error) {
	switch {
	case flag != "" && file != "":
		return "", fault.BadUsage("give one of them", "--token and --token-file are both given")
	case file == "":
		return rpc.ParseToken(flag)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fault.New("name a file that holds nothing but the token", "read --token-file: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return "", fault.New("name a file that holds nothing but the token", "the token file %s is empty", file)
	}
	return rpc.ParseToken(token)
}

func minerOf(addr address.Address) (abi.ActorID, error) {
	id, err := address.IDFromAddress(addr)
	if err != nil {
		return 0, fmt.Errorf("lotus-miner's own address %s is no ID address: %w", addr, err)
	}
	return abi.ActorID(id), nil
}
