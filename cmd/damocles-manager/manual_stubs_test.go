package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// subcommand is a command of a program of others, as the manual may use it.
type subcommand struct {
	flags  []string // with no value
	values []string // with a value
	args   int      // how many arguments at most; at least one where there are any
	needs  string   // the program has to run (running) or must not (stopped)
	do     func(world string, args []string) error
}

const (
	running = "running"
	stopped = "stopped"
)

// others are the commands of other programs that the manual names, with all their
// flags, as read in filecoin-project/lotus (documentation/en/cli-lotus-miner.md and
// cli-lotus.md at 00a02544, cli/miner/storage.go at 7fe23b07, cli/miner/init.go at
// 0ae19bde) and filecoin-project/venus-wallet (cli/cmds.go at 36bdd1e4, cli/wallet.go
// at b36b444a, README). A command that is not here does not exist there, or nobody
// has looked: look before adding it.
var others = map[string]map[string]subcommand{
	"lotus-miner": {
		"backup":               {flags: []string{"offline"}, args: 1, needs: stopped},
		"init":                 {flags: []string{"create-worker-key", "nosync", "no-local-storage"}, values: []string{"actor", "worker", "owner", "sector-size", "from"}, needs: stopped, do: initRepo},
		"proving deadlines":    {flags: []string{"all"}, needs: running},
		"proving faults":       {needs: running},
		"sectors list":         {flags: []string{"fast", "events", "initial-pledge", "seal-time", "show-removed", "unproven"}, values: []string{"states", "check-parallelism"}, needs: running},
		"sectors status":       {flags: []string{"log", "on-chain-info", "partition-info", "proof"}, args: 1, needs: running},
		"sectors numbers info": {needs: running},
		"storage list":         {needs: running},
		"storage find":         {args: 1, needs: running},
		"storage attach":       {flags: []string{"init", "seal", "store"}, values: []string{"weight", "max-storage", "groups", "allow-to"}, args: 1, needs: running, do: attach},
	},
	"lotus": {
		"sync wait":        {flags: []string{"watch"}},
		"wallet list":      {flags: []string{"addr-only", "id", "market"}},
		"wallet import":    {flags: []string{"as-default"}, values: []string{"format"}, args: 1, do: importKey},
		"wallet export":    {args: 1, do: exportKey},
		"wallet sign":      {args: 2},
		"state miner-info": {args: 1},
	},
	"venus-wallet": {
		"list":          {},
		"export":        {args: 1, do: exportKeyAskingFirst},
		"import":        {values: []string{"format"}, args: 1, do: importKey},
		"unlock":        {},
		"auth api-info": {values: []string{"perm"}},
	},
	"systemctl": {
		"start":     {args: 1, do: unit},
		"stop":      {args: 1, do: unit},
		"disable":   {args: 1, do: unit},
		"is-active": {args: 1, do: unit},
	},
}

// stub is one of the other programs: it refuses what the real one would not know,
// or would refuse as it does not run.
func stub() {
	name := filepath.Base(os.Args[0])
	if err := runStub(name, os.Getenv(worldVar), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func runStub(name, world string, words []string) error {
	path, cmd, rest, err := findCommand(name, words)
	if err != nil {
		return err
	}
	args, err := cmd.parse(path, rest)
	if err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(world, "running", name))
	switch {
	case cmd.needs == running && err != nil:
		return errors.New("could not get API info: it does not run")
	case cmd.needs == stopped && err == nil:
		return errors.New("acquiring repo lock: it runs")
	case cmd.do != nil:
		return cmd.do(world, append([]string{path}, args...))
	}
	return nil
}

// findCommand takes the longest known command off the words.
func findCommand(name string, words []string) (path string, cmd subcommand, rest []string, err error) {
	for n := min(3, len(words)); n > 0; n-- {
		path := strings.Join(words[:n], " ")
		if cmd, ok := others[name][path]; ok {
			return path, cmd, words[n:], nil
		}
	}
	return "", cmd, nil, fmt.Errorf("no such command: %q", words)
}

// parse checks the flags and returns the arguments.
func (s subcommand) parse(path string, words []string) ([]string, error) {
	var args []string
	for i := 0; i < len(words); i++ {
		flag, isFlag := strings.CutPrefix(words[i], "--")
		flag, _, hasValue := strings.Cut(flag, "=")
		switch {
		case !isFlag:
			args = append(args, words[i])
		case slices.Contains(s.flags, flag):
		case slices.Contains(s.values, flag) && hasValue:
		case slices.Contains(s.values, flag) && i+1 < len(words):
			i++
		default:
			return nil, fmt.Errorf("%s: flag provided but not defined: %s", path, words[i])
		}
	}
	optional := strings.HasSuffix(path, "import")
	if len(args) > s.args || (len(args) == 0 && s.args > 0 && !optional) {
		return nil, fmt.Errorf("%s: incorrect number of arguments: %q", path, args)
	}
	return args, nil
}

// attach is what lotus-miner does with a path. The flag is looked for here, as it
// changes the answer.
func attach(world string, args []string) error {
	return attachPath(world, args[1], slices.Contains(os.Args, "--init"))
}

// attachPath wants a path that has a sectorstore.json, or with init one that has none.
func attachPath(world, path string, init bool) error {
	_, err := os.Stat(filepath.Join(path, "sectorstore.json"))
	switch {
	case !strings.HasPrefix(filepath.Clean(path), world+string(filepath.Separator)):
		return fmt.Errorf("%s is outside of the manual's world", path)
	case init && err == nil:
		return errors.New("path is already initialized")
	case !init && err != nil:
		return fmt.Errorf("reading storage metadata for %s: %w", path, err)
	}
	return nil
}

// initRepo is lotus-miner's first step: a repo with an address and no sector.
func initRepo(world string, _ []string) error {
	return os.Rename(filepath.Join(world, "made-by-init"), filepath.Join(world, "root", ".lotusminer"))
}

// unit is systemctl; the test starts and stops what stands for the unit.
func unit(world string, args []string) error {
	verb, name := args[0], args[1]
	if !slices.Contains([]string{"lotus-miner", "damocles-manager", "lotus", "sophon-miner"}, name) {
		return fmt.Errorf("Unit %s.service not found", name)
	}
	path := filepath.Join(world, "running", name)
	switch verb {
	case "start":
		return os.WriteFile(path, nil, 0o600)
	case "stop":
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	case "is-active":
		if _, err := os.Stat(path); err != nil {
			fmt.Println("inactive")
			os.Exit(3)
		}
		fmt.Println("active")
	}
	return nil
}

// aKey is a wallet's key as both wallets write it, which opens nothing.
func aKey() string {
	return hex.EncodeToString([]byte(`{"Type":"bls","PrivateKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`))
}

func exportKey(string, []string) error {
	fmt.Println(aKey())
	return nil
}

// venus-wallet asks for its password on stdout, where the key comes, too.
func exportKeyAskingFirst(string, []string) error {
	fmt.Println("Password:")
	return exportKey("", nil)
}

// importKey takes what the real ones take: one line of hex, of a JSON object.
func importKey(string, []string) error {
	line, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if err := checkKey(string(line)); err != nil {
		return err
	}
	fmt.Println("imported key successfully!")
	return nil
}

func checkKey(line string) error {
	raw, err := hex.DecodeString(strings.TrimSpace(line))
	if err != nil {
		return err
	}
	var key struct {
		Type       string
		PrivateKey []byte
	}
	if err := json.Unmarshal(raw, &key); err != nil {
		return err
	}
	if len(key.PrivateKey) != 32 {
		return fmt.Errorf("a private key of %d bytes", len(key.PrivateKey))
	}
	return nil
}
