package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/pflag"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/sector"
)

// writeFlags are what every command has that changes something.
type writeFlags struct {
	dryRun  bool
	planOut string
}

func (w *writeFlags) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&w.dryRun, "dry-run", false, "make the plan and print it, and change nothing")
	f.StringVar(&w.planOut, "plan-out", "", "save the plan as JSON in this new file")
}

// checkPlan finds out what is wrong with the file of the plan before anything is
// opened for writing.
func (a *app) checkPlan(w *writeFlags) (err error) {
	if w.planOut == "" {
		return nil
	}
	if w.planOut, err = a.expandHome(w.planOut); err != nil {
		return err
	}
	if _, err := os.Lstat(w.planOut); err == nil {
		return planExists(w.planOut)
	}
	if info, err := os.Stat(filepath.Dir(w.planOut)); err != nil || !info.IsDir() {
		return fault.New("name a file in a directory that exists", "--plan-out %s: there is no directory %s", w.planOut, filepath.Dir(w.planOut))
	}
	return nil
}

func planExists(path string) error {
	return fault.New("name a new file", "--plan-out %s: there is such a file already", path)
}

// plan opens the file of the plan. done has to be called with the run's error.
func (a *app) plan(w writeFlags, h migrate.PlanHeader) (p *migrate.PlanWriter, done func(*error), err error) {
	if w.planOut == "" {
		return nil, func(*error) {}, nil
	}
	f, err := a.fs.Create(w.planOut)
	if err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil, nil, planExists(w.planOut)
		}
		return nil, nil, fault.New("name a file in a directory that you may write to", "--plan-out: %w", err)
	}
	p, err = migrate.NewPlanWriter(f, h)
	if err != nil {
		f.Discard()
		return nil, nil, err
	}
	return p, func(runErr *error) {
		defer f.Discard()
		if *runErr != nil && !errors.Is(*runErr, errIncomplete) {
			return // half a plan is no plan
		}
		if err := errors.Join(p.End(), f.Commit()); err != nil {
			*runErr = errors.Join(*runErr, fmt.Errorf("--plan-out: %w", err))
		}
	}, nil
}

// chainFlags say where a chain node is.
type chainFlags struct {
	chain   string
	without bool
}

func (c *chainFlags) addFlags(f *pflag.FlagSet) {
	f.StringVar(&c.chain, "chain", "", "a chain node to ask for what only the chain knows: a multiaddr, a URL or TOKEN:MULTIADDR (env FULLNODE_API_INFO)")
}

// openChain dials the chain node, nil where none was named. One that cannot say
// which numbers the miner has used is found out now, and not at the end.
func (a *app) openChain(ctx context.Context, c chainFlags, miner abi.ActorID, jobs int) (migrate.Chain, error) {
	node, err := a.dialChain(ctx, c, jobs)
	if node == nil || err != nil {
		return nil, err
	}
	if err := inSync(ctx, node); err != nil {
		return nil, err
	}
	at := migrate.NewChainNode(node)
	if _, _, err := at.HighestAllocated(ctx, miner); err != nil {
		return nil, fault.New(cmp.Or(fault.HintOf(err), "check that the chain node is of the miner's network, and in sync"),
			"ask the chain for the sector numbers of %s: %w", sector.MinerString(miner), err)
	}
	return at, nil
}

// inSync refuses a node that has yet to catch up, for what is done by its word: a
// sector or an upgrade that it has not come to is for it not on chain.
func inSync(ctx context.Context, node *chain.Node) error {
	_, due, err := node.HeadTime(ctx)
	if err != nil {
		return err
	}
	if behind := time.Since(due); behind > chain.MaxBehind {
		return fault.Refuse(chain.BehindHint,
			"the newest tipset of the chain node is %s old: what it says of sectors may not be so any more", behind.Truncate(time.Minute))
	}
	return nil
}

// dialChain dials the chain node, nil where none was named, and lets it answer as
// of its newest tipset, so that all answers fit together.
func (a *app) dialChain(ctx context.Context, c chainFlags, jobs int) (*chain.Node, error) {
	if c.chain != "" && c.without {
		return nil, fault.BadUsage("give one of them", "--chain and --without-chain are both given")
	}
	if c.without {
		return nil, nil
	}
	if c.chain == "" {
		node, err := a.dialChainAt(ctx, a.env.Getenv(chainVar), jobs)
		return node, notTyped(err, chainVar)
	}
	return a.dialChainAt(ctx, c.chain, jobs)
}

const chainVar = "FULLNODE_API_INFO"

// notTyped is the error of an address that stands in a variable of the
// environment: whoever has not typed it has to be told where it is from.
func notTyped(err error, variable string) error {
	if err == nil {
		return nil
	}
	from := "the address is from " + variable
	if hint := fault.HintOf(err); hint != "" {
		from = hint + "; " + from
	}
	return fault.New(from, "%w", err)
}

func (a *app) dialChainAt(ctx context.Context, addr string, jobs int) (*chain.Node, error) {
	if addr == "" {
		return nil, nil
	}
	endpoint, err := chain.ParseEndpoint(addr)
	if err != nil {
		return nil, fmt.Errorf("the address of the chain node: %w", err)
	}
	node := chain.Dial(endpoint, a.rpcOptions(jobs))
	var head chain.Head
	err = a.greet(ctx, "the chain node at "+endpoint.String(), func(ctx context.Context) error {
		head, err = node.Head(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.ui.Info(fmt.Sprintf("asking the chain node at %s as of epoch %d", endpoint, head.Height))
	return node.At(head), nil
}

// greet makes the first call to a peer. All of them answer it at once, so one
// that takes the connection and says nothing is found out here.
func (a *app) greet(ctx context.Context, who string, call func(context.Context) error) error {
	patience := cmp.Or(a.env.Patience, 30*time.Second)
	first, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := call(first)
	if err == nil || ctx.Err() != nil || first.Err() == nil {
		return err
	}
	return fault.New("check that it is up and not overloaded, and that the address is right, then run the command again",
		"%s did not answer within %v", who, patience)
}

// rpcOptions are those of every peer: one that was never there fails at once,
// one that goes away is waited for, and the user is told.
func (a *app) rpcOptions(jobs int) rpc.Options {
	return rpc.Options{Jobs: jobs, Notice: a.ui.Notice, Retry: rpc.Retry{Base: a.env.Pause, NoRetryOnFirst: true}}
}

// pace says how many sectors are worked on at once, and in what portions:
// waiting for the network wants many small ones, computing few large ones.
func pace(jobs int, remote bool) (int, int) {
	if remote {
		return max(jobs, 1), 1
	}
	return runtime.GOMAXPROCS(0), 32
}
