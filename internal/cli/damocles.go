package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

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
		if err != nil || found {
			return side, err
		}
	}
	return side, a.openHome(ctx, side, want)
}

func (a *app) openHome(ctx context.Context, side *damoclesSide, want access) error {
	if !side.exists && want.direct {
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
	if !side.exists && want.write {
		a.ui.Notice("creating the home " + side.dir)
	}
	if !side.exists && !want.write { // the dry run of a command that would create it
		return nil
	}
	cfg, err := damocles.LoadConfig(side.dir, a.env.Getenv)
	if err != nil {
		return err
	}
	a.ui.Info("working on the home " + side.dir + " directly")
	side.home, err = damocles.OpenHome(ctx, side.dir, cfg, damocles.Options{
		Write: want.write, Create: want.create && want.write, FS: a.fs, Log: a.log, Notice: a.ui.Notice,
	})
	return err
}

// Close closes the home, if it was opened.
func (s *damoclesSide) Close() error {
	if s.home == nil {
		return nil
	}
	return s.home.Close()
}

// findDaemon looks for a running damocles-manager, and makes sure that it is
// the one that the user means: a test home must never write into production.
func (a *app) findDaemon(ctx context.Context, side *damoclesSide, loc damocles.Location, jobs int) (bool, error) {
	endpoint, err := damocles.ParseEndpoint(a.listen)
	if err != nil {
		return false, fmt.Errorf("--listen: %w", err)
	}
	a.listen = endpoint.HostPort() // to be printed: what was typed may hold a token
	if !answers(ctx, endpoint) {
		if a.listenGiven {
			return false, fault.New("start damocles-manager, or leave --listen out to work on the home directly",
				"nothing listens at %s", a.listen)
		}
		return false, nil
	}
	client := damocles.Dial(endpoint, a.rpcOptions(jobs))
	var version string
	err = a.greet(ctx, "damocles-manager", func(ctx context.Context) error {
		version, err = client.Version(ctx)
		return err
	})
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
