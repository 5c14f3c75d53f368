package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/pflag"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/migrate"
)

// lotusFlags say where the lotus-miner is.
type lotusFlags struct {
	api       string
	token     string
	tokenFile string
	repo      string
}

func (l *lotusFlags) addFlags(f *pflag.FlagSet) {
	f.StringVar(&l.api, "api", "", "the API address of lotus-miner: a multiaddr, a URL, or TOKEN:MULTIADDR (env MINER_API_INFO)")
	f.StringVar(&l.token, "token", "", "the API token of lotus-miner (--token-file keeps it out of the process list)")
	f.StringVar(&l.tokenFile, "token-file", "", "a file with the API token of lotus-miner")
	f.StringVar(&l.repo, "repo", "", "the lotus-miner repo (env LOTUS_MINER_PATH; default ~/.lotusminer)")
}

// lotusSide is the lotus-miner that sectors come from.
type lotusSide struct {
	miner  abi.ActorID
	source migrate.ImportSource
	name   string // for people
	remote bool
	repo   *lotus.Repo // nil over RPC
}

func (s *lotusSide) Close() error {
	if s.repo == nil {
		return nil
	}
	return s.repo.Close()
}

// lotusSide opens the repo where its lotus-miner is stopped, and goes through
// the API where it runs or where only an address is known.
func (a *app) lotusSide(ctx context.Context, l lotusFlags, jobs int) (*lotusSide, error) {
	if l.token != "" && l.tokenFile != "" {
		return nil, fault.BadUsage("give one of them", "--token and --token-file are both given")
	}
	api := l.api
	if api == "" && l.repo == "" {
		api = a.env.Getenv("MINER_API_INFO")
	}
	switch {
	case l.api != "" && l.repo != "":
		return nil, fault.BadUsage("give the one that is meant", "--api and --repo name two sources")
	case l.api == "" && api != "":
		side, err := a.dialLotus(ctx, api, l, jobs)
		return side, notTyped(err, "MINER_API_INFO; --repo reads the repo of a stopped lotus-miner")
	case api != "":
		return a.dialLotus(ctx, api, l, jobs)
	}
	dir, err := lotus.FindRepo(l.repo, a.env.Getenv)
	if err != nil {
		return nil, err
	}
	use, err := lotus.Running(dir)
	if err != nil {
		return nil, err
	}
	if use == nil {
		return a.openLotus(ctx, dir)
	}
	addr, token, err := lotus.APIInfo(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Refuse("stop it, or, if it is a lotus-miner that is still starting, wait and run this again",
			"repo %s is in use by %s, and there is no API to go through: %w", dir, use, err)
	}
	if err != nil {
		return nil, err
	}
	a.ui.Info("lotus-miner runs on the repo " + dir + ": going through its API")
	if l.token == "" && l.tokenFile == "" {
		l.token = token
	}
	return a.dialLotus(ctx, addr, l, jobs)
}

func (a *app) openLotus(ctx context.Context, dir string) (*lotusSide, error) {
	repo, err := lotus.OpenRepo(ctx, dir, lotus.Options{FS: a.fs, Log: a.log})
	if err != nil {
		return nil, err
	}
	side := &lotusSide{repo: repo, name: dir}
	if side.miner, err = repo.Miner(); err != nil {
		closing(&err, side)
		return nil, err
	}
	side.source = migrate.NewRepo(repo, dir, "import", side.miner, a.fs)
	a.ui.Info("reading the lotus-miner repo " + dir)
	return side, nil
}

func (a *app) dialLotus(ctx context.Context, api string, l lotusFlags, jobs int) (*lotusSide, error) {
	endpoint, err := lotus.ParseEndpoint(api)
	if err != nil {
		return nil, fmt.Errorf("the address of lotus-miner: %w", err)
	}
	token, err := a.readToken(l.token, l.tokenFile)
	if err != nil {
		return nil, err
	}
	if token != "" {
		endpoint.Token = token
	}
	client := lotus.Dial(endpoint, a.rpcOptions(jobs))
	var addr address.Address
	err = a.greet(ctx, "the lotus-miner at "+endpoint.String(), func(ctx context.Context) error {
		addr, err = client.ActorAddress(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	side := &lotusSide{name: endpoint.String(), remote: true}
	if side.miner, err = minerOf(addr); err != nil {
		return nil, err
	}
	side.source = migrate.NewLotusAPI(client, side.miner, jobs)
	a.ui.Info("reading from the lotus-miner at " + endpoint.String())
	return side, nil
}
