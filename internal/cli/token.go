package cli

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
)

var tokens = regexp.MustCompile(`eyJ[\w.-]{8,}`)

// hideTokens takes tokens out of what a user typed in the wrong place and gets
// to see again in an error. Those of all Filecoin programs are JSON web tokens.
func hideTokens(s string) string { return tokens.ReplaceAllString(s, "***") }

// readToken takes a token from a flag or from a file.
func (a *app) readToken(flag, file string) (rpc.Token, error) {
	if file == "" {
		return rpc.ParseToken(flag)
	}
	file, err := a.expandHome(file)
	if err != nil {
		return "", err
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
