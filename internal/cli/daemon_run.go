package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/daemon"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/quarantine"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/serve"
	"damocles-manager/internal/store"
)

// apiVersion is that of the original whose methods are answered; scripts look for
// it in front.
const apiVersion = "v0.13.1-switching-"

const (
	// lastWords is how long running calls may take to finish after a signal.
	lastWords = 30 * time.Second
	// toEnd is how long those that were broken off then may take to notice, and how
	// long the journal may take to be ended.
	toEnd = 10 * time.Second
)

type daemonRunOptions struct {
	listen       string
	requireToken bool
	chain        chainFlags
}

func newDaemonRunCommand(a *app) *cobra.Command {
	var o daemonRunOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve a damocles home",
		Long: `Serve a damocles home over the JSON-RPC API of damocles-manager, so that its
command line, this one and scripts find one where the original does not run. It
does not seal, prove or send messages: the methods for that say so.

At an address of this machine alone (the default) nobody needs a token, but calls
that a web page makes are refused. At any other address, and with --require-token,
every call needs one: <home>/token may do everything, <home>/token.read may look.
Both are made at the first start.

SIGTERM and SIGINT finish the running calls and close the databases.`,
		Example: `  damocles-manager daemon run
  damocles-manager daemon run --listen 0.0.0.0:1789 --chain /ip4/127.0.0.1/tcp/1234/http`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDaemon(cmd.Context(), a, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:1789", "the address to listen at: host:port, :port for all addresses, or a multiaddr")
	f.BoolVar(&o.requireToken, "require-token", false,
		"every call needs a token, also at an address of this machine alone: for a proxy in front, or a machine that others use")
	f.BoolVar(&a.daemonStopped, "daemon-stopped", false,
		"damocles-manager is stopped on every machine that uses this MongoDB (only for homes with Driver = \"mongo\")")
	o.chain.addFlags(f)
	return cmd
}

func runDaemon(ctx context.Context, a *app, o daemonRunOptions) (err error) {
	listener, err := listenAt(ctx, o.listen)
	if err != nil {
		return err
	}
	defer listener.Close() // a second time, where it was served
	loc, cfg, err := a.daemonHome()
	if err != nil {
		return err
	}
	home, err := damocles.OpenHome(ctx, loc.Dir, cfg, damocles.Options{
		Write: true, FS: a.fs, Log: a.log, Notice: a.ui.Notice, DaemonStopped: a.daemonStopped, Patience: a.env.Patience,
	})
	if err != nil {
		return alone(err)
	}
	defer func() { closeHome(&err, home) }()
	tokens, err := a.openTokens(loc.Dir)
	if err != nil {
		return err
	}
	d, err := a.newDaemon(ctx, o, loc, cfg, home)
	if err != nil {
		return err
	}
	began := time.Now()
	open := isLoopback(listener.Addr()) && !o.requireToken
	if err := a.serveDaemon(ctx, d, tokens, listener, open); err != nil {
		return err
	}
	if err := home.Close(); err != nil {
		return err
	}
	return a.ui.Object(struct {
		Type    string  `json:"type"`
		Seconds float64 `json:"seconds"`
	}{"summary", time.Since(began).Seconds()})
}

// daemonHome finds the home and checks its whole configuration.
func (a *app) daemonHome() (damocles.Location, damocles.Config, error) {
	loc, err := damocles.FindHome(a.home, a.env.Getenv)
	if err != nil {
		return loc, damocles.Config{}, err
	}
	if !loc.Exists {
		return loc, damocles.Config{}, fault.New("make one with `damocles-manager daemon init`, or name another with --home",
			"there is no damocles-manager home at %s", loc.Dir)
	}
	cfg, err := a.checkConfig(loc.Dir)
	return loc, cfg, err
}

// listenAt takes the address first: where it is taken, nothing else is begun.
func listenAt(ctx context.Context, address string) (net.Listener, error) {
	at, err := listenAddress(address)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network(at), at)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fault.Refuse("stop what listens there (perhaps the original damocles-manager), or give another address with --listen",
			"listen at %s: the address is in use", at)
	}
	if err != nil {
		return nil, fault.New("give an address of this machine with --listen, as 127.0.0.1:1789", "listen at %s: %w", at, err)
	}
	return l, nil
}

// network keeps 0.0.0.0 to what it says: net takes it for all addresses of IPv6, too.
func network(at string) string {
	if addr, err := netip.ParseAddrPort(at); err == nil && addr.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

// listenAddress reads an address as the original's --listen does: :1789 is every
// address of this machine, other than in the address of a client.
func listenAddress(address string) (string, error) {
	if strings.HasPrefix(address, ":") {
		if _, err := strconv.ParseUint(address[1:], 10, 16); err != nil {
			return "", fault.BadUsage("write it as 127.0.0.1:1789 or :1789", "--listen %q is no address", address)
		}
		return address, nil
	}
	if host, port, err := net.SplitHostPort(address); err == nil && !strings.Contains(host, "/") {
		if _, err := strconv.ParseUint(port, 10, 16); err == nil {
			return address, nil
		}
	}
	endpoint, err := damocles.ParseEndpoint(address)
	if err != nil || endpoint.Token != "" {
		return "", fault.BadUsage("write it as 127.0.0.1:1789, :1789 or /ip4/127.0.0.1/tcp/1789", "--listen is no address to listen at")
	}
	return endpoint.HostPort(), nil
}

// openTokens says where the tokens are that it makes.
func (a *app) openTokens(dir string) (*daemon.Tokens, error) {
	tokens, made, err := daemon.OpenTokens(a.fs, dir)
	if made {
		a.ui.Notice("made the tokens of this home: " + filepath.Join(dir, "token") + " may do everything, token.read beside it may look")
	}
	return tokens, err
}

// newDaemon puts the daemon together.
func (a *app) newDaemon(ctx context.Context, o daemonRunOptions, loc damocles.Location, cfg damocles.Config, home *damocles.Home) (*daemon.Daemon, error) {
	stores, err := migrate.HomeStores(cfg)
	if err != nil {
		return nil, err
	}
	node, err := a.daemonChain(ctx, o.chain, cfg)
	if err != nil {
		return nil, err
	}
	var writable []store.Store
	for _, s := range stores {
		if !s.ReadOnly && s.PluginName == "" {
			writable = append(writable, s.Store())
		}
	}
	return daemon.New(daemon.Options{
		Home: home, Dir: loc.Dir, Config: cfg, Stores: stores, Chain: node, Version: apiVersion + version(), FS: a.fs, Log: a.log,
		MinerConfig: cfg.MinerJSON, Quarantine: quarantine.New(a.fs, writable, nil, a.log),
	})
}

// daemonChain dials the chain node that the command line, the environment or the
// configuration names. One that does not answer now may answer later.
func (a *app) daemonChain(ctx context.Context, c chainFlags, cfg damocles.Config) (*chain.Node, error) {
	endpoint, err := chainEndpoint(cmp.Or(c.chain, a.env.Getenv("FULLNODE_API_INFO")), cfg.Common.API)
	if err != nil {
		return nil, fmt.Errorf("the address of the chain node: %w", err)
	}
	if endpoint.URL == "" {
		a.ui.Info("no chain node is named: methods that need one say so (--chain, or Gateway in the configuration)")
		return nil, nil
	}
	opts := a.rpcOptions(0)
	opts.Notice = func(text string) { a.log.Info(text) }
	opts.Silence, opts.Retry = 30*time.Second, rpc.Retry{Attempts: 2, NoRetryOnFirst: true}
	node := chain.Dial(endpoint, opts)
	first, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if head, err := node.Head(first); err != nil {
		a.ui.Notice(fmt.Sprintf("the chain node at %s does not answer yet: %v", endpoint, err))
	} else {
		a.ui.Info(fmt.Sprintf("asking the chain node at %s, which is at epoch %d", endpoint, head.Height))
	}
	return node, nil
}

// chainEndpoint is where the chain node is: as given, or else as in the
// configuration, whose token is for all addresses that bring none.
func chainEndpoint(given string, api damocles.APIConfig) (rpc.Endpoint, error) {
	address, token := given, rpc.Token("")
	if address == "" {
		address, token = api.Chain.Reveal(), api.Token
		if address == "" && len(api.Gateway) > 0 {
			address = api.Gateway[0].Reveal()
		}
	}
	if address == "" {
		return rpc.Endpoint{}, nil
	}
	endpoint, err := chain.ParseEndpoint(address)
	if err == nil && endpoint.Token == "" {
		endpoint.Token = token
	}
	return endpoint, err
}

// serveDaemon answers until ctx ends, and then finishes what is under way. Where it
// is open, callers on this machine need no token.
func (a *app) serveDaemon(ctx context.Context, d *daemon.Daemon, tokens serve.Tokens, l net.Listener, open bool) error {
	metrics, err := daemon.NewMetrics(version(), d.Readings(), a.log)
	if err != nil {
		return errors.Join(err, d.Close(ctx))
	}
	api := serve.New(serve.Options{Methods: d.Methods(), Tokens: tokens, Open: open, Observe: metrics.Observe, Log: a.log})
	mux := http.NewServeMux()
	mux.Handle("/rpc/v0", api)
	mux.Handle("/metrics", api.Guard(serve.Read, metrics.Handler()))
	mux.Handle("/healthcheck", daemon.Health(d.Home))
	limits := serve.Limits{}
	server := limits.HTTPServer(mux, a.log)
	a.sayServing(l.Addr(), d.Dir, open)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := server.Serve(limits.Listener(l)); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-gctx.Done()
		return a.endDaemon(context.WithoutCancel(ctx), d, api, server)
	})
	return g.Wait()
}

// endDaemon answers what is under way. A client that takes its answer too slowly is
// cut off, which is no failure of ours, and must not keep the databases from being
// closed: nobody may be reading them then.
func (a *app) endDaemon(ctx context.Context, d *daemon.Daemon, api *serve.Server, server *http.Server) error {
	a.ui.Info("stopping: finishing what is under way")
	patience := cmp.Or(a.env.Patience, lastWords)
	last, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	late := api.Shutdown(last)
	end, cancel := context.WithTimeout(ctx, min(toEnd, 10*patience))
	defer cancel()
	if late != nil {
		a.ui.Notice(fmt.Sprintf("calls that were still running after %v were broken off", patience))
		if err := errors.Join(server.Close(), api.Shutdown(end)); err != nil {
			a.log.Warn("a call does not end", "error", err)
		}
	}
	if err := server.Shutdown(end); err != nil { // a scrape, or half a request
		_ = server.Close()
	}
	// A call that does not end, as one in a store whose server is gone, has used all that
	// time up, and is left behind.
	patience = min(toEnd, 100*patience)
	last, cancel = context.WithTimeout(ctx, patience)
	defer cancel()
	err := d.Close(last)
	if errors.Is(err, context.DeadlineExceeded) {
		return stillWritingError{fault.New("see that the disk of the home, or its MongoDB, answers, and start it again: the journal is still open, and it goes on in it",
			"what is being written did not end within %v", patience)}
	}
	return err
}

// stillWritingError is a stop at which a write into the home did not end.
type stillWritingError struct{ error }

func (s stillWritingError) Unwrap() error { return s.error }

// closeHome leaves a home as a kill would, where a write does not end: to close it is
// to wait for that write, and nobody would be told.
func closeHome(err *error, home *damocles.Home) {
	if _, ok := errors.AsType[stillWritingError](*err); !ok {
		closing(err, home)
	}
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// servingLine is what scripts wait for.
type servingLine struct {
	Type string `json:"type"`
	Home string `json:"home"`
	URL  string `json:"url"`
	Open bool   `json:"open"`
}

// sayServing prints where the daemon answers, for people and for scripts.
func (a *app) sayServing(addr net.Addr, dir string, open bool) {
	url := "http://" + addr.String() + "/rpc/v0"
	a.ui.Printf("serving %s at %s\n", dir, url)
	_ = a.ui.Object(servingLine{"serving", dir, url, open})
	_ = a.ui.Flush() // a stdout that is gone must not keep the home from being served
	if !open {
		a.ui.Info("every call needs a token")
	}
}
