package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"damocles-manager/internal/daemon"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
)

// damoclesSide is the damocles that a command works on: a running daemon, or
// else a home opened directly.
type damoclesSide struct {
	dir    string // the home's directory, which may be missing when there is a daemon
	exists bool
	daemon *damocles.Client // nil: the home is open
	addr   string
	ours   bool // the home in dir is the one that the daemon has open
	home   *damocles.Home
}

// access is what a command wants to do with a home.
type access struct {
	write  bool
	create bool
	// direct commands never go through a daemon.
	direct bool
	jobs   int
}

// damoclesSide finds the daemon, or opens the home where none answers.
func (a *app) damoclesSide(ctx context.Context, want access) (*damoclesSide, error) {
	loc, err := damocles.FindHome(a.home, a.env.Getenv)
	if err != nil {
		return nil, err
	}
	side := &damoclesSide{dir: loc.Dir, exists: loc.Exists}
	if !want.direct {
		found, err := a.findDaemon(ctx, side, loc, want.jobs)
		if found && want.write && a.daemonStopped {
			return side, notStopped(a.listen)
		}
		if err != nil || found {
			return side, err
		}
	}
	return side, a.openHome(ctx, side, want)
}

func (a *app) openHome(ctx context.Context, side *damoclesSide, want access) error {
	if !side.exists && (want.direct || a.listen == listenNone && !want.create) {
		return fault.New("name it with --home or DAMOCLES_PATH", "there is no damocles-manager home at %s", side.dir)
	}
	if !side.exists && !want.create {
		return fault.New("name it with --home or DAMOCLES_PATH, or start damocles-manager and use --listen",
			"there is no damocles-manager home at %s, and nothing listens at %s", side.dir, a.listen)
	}
	if want.write { // before the files that only the owner may read
		if err := durable.CheckOwner(side.dir); err != nil {
			return err
		}
	}
	if !side.exists && !want.write { // the dry run of a command that would create it
		return nil
	}
	cfg, err := damocles.LoadConfig(side.dir, a.env.Getenv)
	if err != nil {
		return err
	}
	if err := a.checkStopped(ctx, cfg, want); err != nil {
		return err
	}
	if want.create && cfg.Driver() == "badger" && !damocles.IsHome(side.dir, cfg) {
		if !want.write { // the dry run in a directory that is no home yet
			return nil
		}
		a.ui.Notice("creating the home " + side.dir)
	}
	a.ui.Info("working on the home " + side.dir + " directly")
	side.home, err = damocles.OpenHome(ctx, side.dir, cfg, damocles.Options{
		Write: want.write, Create: want.create && want.write, FS: a.fs, Log: a.log, Notice: a.ui.Notice,
		DaemonStopped: a.daemonStopped, Patience: a.env.Patience,
	})
	if want.direct {
		err = alone(err)
	}
	return err
}

// alone is the error of opening a home for a command that no daemon can do.
func alone(err error) error {
	if errors.Is(err, damocles.ErrInUse) {
		return fault.Refuse("stop it, or wait until it has ended: this command works on the home itself, not through a running damocles-manager", "%w", err)
	}
	return err
}

// checkStopped doubts the word of a user who says that every damocles-manager is
// stopped: one that answers is not. With Badger, the locks tell.
func (a *app) checkStopped(ctx context.Context, cfg damocles.Config, want access) error {
	if cfg.Driver() != "mongo" || !want.write || !a.daemonStopped || a.listen == listenNone {
		return nil
	}
	endpoint, err := damocles.ParseEndpoint(a.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if !answers(ctx, endpoint) {
		return nil
	}
	first, cancel := context.WithTimeout(ctx, cmp.Or(a.env.Patience, 30*time.Second))
	defer cancel()
	if _, err := damocles.Dial(endpoint, a.rpcOptions(1)).Version(first); errors.Is(err, rpc.ErrNotJSON) {
		return nil // something else
	}
	return notStopped(endpoint.HostPort())
}

func notStopped(addr string) error {
	return fault.Refuse("stop it; or leave --daemon-stopped out and go through it with --listen, where the command can do that",
		"--daemon-stopped is given, but a damocles-manager listens at %s", addr)
}

// Close closes the home, if it was opened.
func (s *damoclesSide) Close() error {
	if s.home == nil {
		return nil
	}
	return s.home.Close()
}

// listenNone is the --listen of who wants no daemon, whichever may be running.
const listenNone = "none"

// findDaemon looks for a running damocles-manager, and makes sure that it is
// the one that the user means: a test home must never write into production.
func (a *app) findDaemon(ctx context.Context, side *damoclesSide, loc damocles.Location, jobs int) (bool, error) {
	if a.listen == listenNone {
		return false, nil
	}
	endpoint, err := damocles.ParseEndpoint(a.listen)
	if err != nil {
		return false, fmt.Errorf("--listen: %w", err)
	}
	a.listen = endpoint.HostPort() // to be printed: what was typed may hold a token
	if !answers(ctx, endpoint) {
		return false, a.silent()
	}
	client, version, err := a.meet(ctx, endpoint, jobs)
	if errors.Is(err, rpc.ErrUnauthorized) && endpoint.Token == "" && a.isOurs(loc, endpoint) {
		endpoint.Token = daemon.HomeToken(loc.Dir)
		client, version, err = a.meet(ctx, endpoint, jobs)
	}
	if errors.Is(err, rpc.ErrNotJSON) && !a.listenGiven && a.unused(loc) {
		a.ui.Notice("what listens at " + a.listen + " is no damocles-manager")
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask what listens at %s: %w", a.listen, err)
	}
	notOurs := a.sameHome(loc, endpoint)
	if loc.Given && !a.listenGiven && notOurs != nil {
		return false, notOurs
	}
	side.daemon, side.addr, side.ours = client, endpoint.String(), notOurs == nil
	a.ui.Info(fmt.Sprintf("working through the damocles-manager %s at %s", version, a.listen))
	return true, nil
}

// silent says whether it is an error that nobody answers: it is where the user has
// typed the address, or has put that of another machine into the environment, whose
// damocles no home of this machine can stand for.
func (a *app) silent() error {
	switch {
	case a.listenGiven:
		return fault.New("start damocles-manager, or leave --listen out to work on the home directly", "nothing listens at %s", a.listen)
	case a.namesAnother(a.listen):
		return fault.New("start damocles-manager there, or give --listen none to work on the home of this machine",
			"nothing listens at %s, which %s names", a.listen, listenVar)
	}
	return nil
}

// namesAnother says whether the environment names a damocles-manager of another machine.
func (a *app) namesAnother(hostPort string) bool {
	return a.env.Getenv(listenVar) != "" && !isHere(hostPort)
}

// meet asks what listens there for its version.
func (a *app) meet(ctx context.Context, at rpc.Endpoint, jobs int) (client *damocles.Client, version string, err error) {
	opts := a.rpcOptions(jobs)
	opts.TokenHint = "give one in front of the address, as --listen \"$(cat HOME/token):/ip4/127.0.0.1/tcp/1789\": it is in the file token of the daemon's home"
	client = damocles.Dial(at, opts)
	err = a.greet(ctx, "damocles-manager", func(ctx context.Context) error {
		version, err = client.Version(ctx)
		return err
	})
	return client, version, err
}

// isOurs is sure that what listens there, on this machine, has the home open: it
// may be shown the home's own token.
func (a *app) isOurs(loc damocles.Location, at rpc.Endpoint) bool {
	host, portText, err := net.SplitHostPort(at.HostPort())
	if err != nil || !loc.Exists {
		return false
	}
	port, err := strconv.Atoi(portText)
	if ip, parseErr := netip.ParseAddr(host); err != nil || parseErr != nil || !ip.IsLoopback() {
		return false
	}
	cfg, err := damocles.LoadConfig(loc.Dir, a.env.Getenv)
	if err != nil {
		return false
	}
	use, err := damocles.InUse(loc.Dir, cfg)
	if err != nil || use == nil {
		return false
	}
	same, known := damocles.ListensAt(use.PID, port)
	return same && known
}

// unused says whether there is a home that no program has open.
func (a *app) unused(loc damocles.Location) bool {
	if !loc.Exists {
		return false
	}
	cfg, err := damocles.LoadConfig(loc.Dir, a.env.Getenv)
	if err != nil {
		return false
	}
	use, err := damocles.InUse(loc.Dir, cfg)
	return err == nil && use == nil
}

func answers(ctx context.Context, at rpc.Endpoint) bool {
	d := net.Dialer{Timeout: 3 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", at.HostPort())
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// sameHome refuses a daemon that answers while the home that the user named is
// not the one it has open.
func (a *app) sameHome(loc damocles.Location, at rpc.Endpoint) error {
	refuse := func(why string) error {
		return fault.Refuse("give --listen as well if that daemon is meant, or stop it to work on the home directly",
			"a damocles-manager listens at %s, but %s (named by %s) is not its home: %s", a.listen, loc.Dir, loc.By, why)
	}
	if !loc.Exists {
		return refuse("there is no such home")
	}
	cfg, err := damocles.LoadConfig(loc.Dir, a.env.Getenv)
	if err != nil {
		return err
	}
	use, err := damocles.InUse(loc.Dir, cfg)
	if err != nil {
		return err
	}
	if use == nil && cfg.Driver() == "mongo" {
		return refuse("its data is in MongoDB, which does not tell who uses it")
	}
	if use == nil {
		return refuse("no program has it open")
	}
	_, portText, err := net.SplitHostPort(at.HostPort())
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	if same, known := damocles.ListensAt(use.PID, port); known && !same {
		return refuse(fmt.Sprintf("it is open in process %d, which does not listen there", use.PID))
	}
	return nil
}

// switchingDir is where origins and journals of this damocles are kept; empty
// where there is no home on this machine.
func (s *damoclesSide) switchingDir() string {
	if s.daemon != nil && !s.exists {
		return ""
	}
	return filepath.Join(s.dir, "switching")
}
