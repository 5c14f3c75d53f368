package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/store"
)

// importStores is the part of an import that takes the storage paths along. A nil
// one takes none.
type importStores struct {
	a      *app
	run    migrate.StoreImport
	direct bool // the index can be written
	report *migrate.StoreImportReport
}

// importStores asks for all that has to be known before anything is written.
func (a *app) importStores(ctx context.Context, to *damoclesSide, from *lotusSide, target migrate.ImportTarget, o importOptions) (*importStores, error) {
	switch {
	case o.writeConfig && !o.withStores:
		return nil, fault.BadUsage("add --with-stores", "--write-config writes the sections of --with-stores")
	case !o.withStores:
		return nil, nil
	}
	paths, err := from.source.(migrate.LotusStorage).Storage(ctx)
	if err != nil {
		return nil, err
	}
	s := &importStores{a: a, run: migrate.StoreImport{Miner: from.miner, Lotus: paths, DryRun: o.dryRun, Observe: a.ui.Store}}
	s.run.Index, s.direct = target.(*migrate.Home)
	return s, s.know(ctx, to, target, o.writeConfig)
}

// know finds damocles's stores and its configuration.
func (s *importStores) know(ctx context.Context, to *damoclesSide, target migrate.ImportTarget, write bool) error {
	if to.daemon != nil && !to.ours {
		if write {
			return fault.Refuse("leave --write-config out and add the printed sections there by hand, or name its home with --home",
				"the configuration of the damocles-manager at %s is not known here", to.addr)
		}
		infos, err := to.daemon.StoreList(ctx)
		s.run.Known = migrate.ListedStores(infos)
		return err
	}
	cfg, err := damocles.LoadConfig(to.dir, s.a.env.Getenv)
	if err != nil {
		return err
	}
	if s.run.Known, err = migrate.HomeStores(cfg); err != nil {
		return err
	}
	s.run.ConfigPath = cfg.Path
	owner, err := store.UserOf(to.dir)
	if err == nil {
		s.run.Owner = &owner
	} else if !errors.Is(err, fs.ErrNotExist) { // a dry run that would make the home
		return err
	}
	if write {
		s.run.Writer, _ = target.(migrate.ConfigWriter)
	}
	return nil
}

// watch lets the stores know what the import carries.
func (s *importStores) watch(o *migrate.Options) {
	if s == nil {
		return
	}
	tell := o.Observe
	o.Observe = func(e migrate.Event) { s.run.Carried(e); tell(e) }
}

// after is what the import does when its sectors are written.
func (s *importStores) after(plan *migrate.PlanWriter) func(context.Context) error {
	if s == nil {
		return nil
	}
	return func(ctx context.Context) (err error) {
		s.run.Plan = plan
		s.report, err = s.run.Run(ctx)
		return err
	}
}

// show says what is left to do by hand, and whether something was left behind.
func (s *importStores) show() error {
	if s == nil || s.report == nil {
		return nil
	}
	a, r := s.a, s.report
	a.ui.Printf("import stores: %d %s, %d unchanged, %d skipped, %d refused\n", r.Entered, s.entered(), r.Unchanged, r.Skipped, r.Refused)
	if s.run.Writer == nil && r.Entered > 0 {
		a.ui.Printf("add the sections below into sector-manager.cfg, so that damocles-manager knows the stores:\n\n")
		for _, section := range s.run.Sections() {
			a.ui.Printf("%s\n", section)
		}
	}
	switch {
	case s.direct && r.DryRun:
		a.ui.Printf("index: %d pairs of files would be entered\n", r.Indexed)
	case s.direct:
		a.ui.Printf("index: %d pairs of files entered\n", r.Indexed)
	case !r.DryRun:
		a.ui.Notice("the index of a running damocles-manager cannot be written: once it knows the stores, stop it and run `damocles-manager util storage attach --allow-splitted --name NAME PATH` for each")
	}
	if s.run.Writer != nil && !s.direct && r.Entered > 0 && !r.DryRun {
		a.ui.Notice("the running damocles-manager finds the stores when it is started again")
	}
	if r.Homeless > 0 {
		some := strings.Join(r.SomeHomeless, ", ")
		if more := r.Homeless - len(r.SomeHomeless); more > 0 {
			some += fmt.Sprintf(" and %d more", more)
		}
		a.ui.Notice(fmt.Sprintf("damocles cannot prove %d of the sectors yet, as the index has their replica in no store: %s; "+
			"attach the store that has them with `damocles-manager util storage attach --allow-splitted PATH`", r.Homeless, some))
	}
	if r.Unreadable > 0 {
		a.ui.Notice(fmt.Sprintf("%d stores cannot be worked with by the home's owner: see above", r.Unreadable))
	}
	if r.Refused+r.Left+r.Homeless+r.Unreadable > 0 {
		return errIncomplete
	}
	return nil
}

func (s *importStores) entered() string {
	switch {
	case s.run.Writer == nil:
		return "printed"
	case s.report.DryRun:
		return "would be entered"
	}
	return "entered"
}
