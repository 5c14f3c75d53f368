package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/pflag"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/rpc"
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

// plan opens the file of the plan. done has to be called with the run's error.
func (a *app) plan(w writeFlags, h migrate.PlanHeader) (p *migrate.PlanWriter, done func(*error), err error) {
	if w.planOut == "" {
		return nil, func(*error) {}, nil
	}
	f, err := a.fs.Create(w.planOut)
	if err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil, nil, fault.New("name a new file", "--plan-out %s: there is such a file already", w.planOut)
		}
		return nil, nil, fmt.Errorf("--plan-out: %w", err)
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

// openChain dials the chain node, nil where none was named.
func (a *app) openChain(ctx context.Context, c chainFlags, jobs int) (migrate.Chain, error) {
	addr := c.chain
	if addr == "" {
		addr = a.env.Getenv("FULLNODE_API_INFO")
	}
	if addr == "" || c.without {
		return nil, nil
	}
	endpoint, err := chain.ParseEndpoint(addr)
	if err != nil {
		return nil, fmt.Errorf("the address of the chain node: %w", err)
	}
	node := chain.Dial(endpoint, a.rpcOptions(jobs))
	head, err := node.Head(ctx) // one tipset, so that all answers fit together
	if err != nil {
		return nil, err
	}
	a.ui.Info(fmt.Sprintf("asking the chain node at %s as of epoch %d", endpoint, head.Height))
	return migrate.NewChainNode(node.At(head)), nil
}

// rpcOptions are those of every peer: one that was never there fails at once,
// one that goes away is waited for, and the user is told.
func (a *app) rpcOptions(jobs int) rpc.Options {
	return rpc.Options{Jobs: jobs, Notice: a.ui.Notice, Retry: rpc.Retry{NoRetryOnFirst: true}}
}

// pace says how many sectors are worked on at once, and in what portions:
// waiting for the network wants many small ones, computing few large ones.
func pace(jobs int, remote bool) (int, int) {
	if remote {
		return max(jobs, 1), 1
	}
	return runtime.GOMAXPROCS(0), 32
}
