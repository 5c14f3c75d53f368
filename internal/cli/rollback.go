package cli

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"

	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

type rollbackOptions struct {
	writeFlags
	backup   string
	destRepo string
}

func newImportRollbackCommand(a *app) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Undo an import, where damocles has not changed the sector since",
		Long: `Undo what an import, a finalize or a storage attach wrote into a damocles home, key by key, and
each only while it still holds what was written; what has changed since is listed
and kept. The counter of sector numbers never goes back. What "daemon run" was told to
replace or delete is undone with its journal, too, where --backup names that.

damocles-manager has to be stopped: no RPC takes a record out.`,
		Example: `  damocles-manager util sealer sectors import rollback --dry-run
  damocles-manager util sealer sectors import rollback`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runImportRollback(cmd.Context(), a, o) },
	}
	cmd.Flags().StringVar(&o.backup, "backup", "", "the journal of the import to undo (default: the newest in the home)")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be undone, and change nothing")
	return cmd
}

func runImportRollback(ctx context.Context, a *app, o rollbackOptions) (err error) {
	side, err := a.damoclesSide(ctx, access{write: !o.dryRun, direct: true})
	if err != nil {
		return err
	}
	defer closing(&err, side)
	commands := []string{"import", "finalize", migrate.AttachCommand}
	if o.backup != "" {
		commands = append(commands, migrate.DaemonCommand)
	}
	journal, err := a.findJournal(migrate.JournalDir(side.dir), side.dir, o.backup, commands...)
	if err != nil {
		return err
	}
	moves, err := migrate.FilesMovedSince(ctx, journal)
	if err != nil {
		return err
	}
	for _, m := range moves {
		a.ui.Notice(fmt.Sprintf("the files of %d sectors of it were moved since; unless lotus-miner has their new place among its paths, move them back before it starts: %s",
			m.Sectors, undoLine(m.Journal, "export", "--miner", m.Miner, "rollback", "--home", side.dir)))
	}
	store := migrate.WithOrigins(migrate.NewHome(side.home, side.dir, migrate.RollbackCommand, 0, a.fs), !o.dryRun, a.fs)
	defer closing(&err, store)
	return a.rollback(ctx, migrate.Rollback{Store: store, Journal: journal, Keep: migrate.KeepHomeKeys, DryRun: o.dryRun},
		"import", "rollback", "--home", side.dir)
}

func newExportRollbackCommand(a *app, ex *exportOptions) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Undo an export of metadata or stores, where lotus-miner has changed nothing since",
		Long: `Undo what an export of metadata or of stores wrote into a lotus-miner repo, key by
key or file by file, and each only while it still holds what was written; what was
changed since is listed and kept. The counter and the number bitfields never go back.

lotus-miner has to be stopped. Before records go back, the repo is backed up; of files
that go back, the journal of the rollback keeps what they held.

With the journal of an export of files, which stands in the damocles home, the
files move back and damocles's index is set back; damocles-manager has to be
stopped for that, and there need be no repo.`,
		Example: `  damocles-manager util sealer sectors export --miner f01000 rollback --dest-repo /root/.lotusminer --dry-run`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runExportRollback(cmd.Context(), a, *ex, o) },
	}
	cmd.Flags().StringVar(&o.destRepo, "dest-repo", "~/.lotusminer", "the lotus-miner repo")
	cmd.Flags().StringVar(&o.backup, "backup", "", "the journal of the export to undo, or the backup beside it (default: the newest in the repo)")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be undone, and change nothing")
	return cmd
}

func runExportRollback(ctx context.Context, a *app, ex exportOptions, o rollbackOptions) (err error) {
	miner, err := ex.minerID()
	if err != nil {
		return err
	}
	if o.backup != "" {
		backup, err := a.expandHome(o.backup)
		if err != nil {
			return err
		}
		if ofFiles, err := migrate.IsFilesJournal(backup); err != nil {
			return err
		} else if ofFiles {
			return runFilesRollback(ctx, a, miner, o)
		}
	}
	dir, err := a.findDestRepo(ctx, o.destRepo, miner, !o.dryRun)
	if err != nil {
		return err
	}
	journal, err := a.findJournal(migrate.BackupDir(dir), dir, o.backup, "export", migrate.ExportStoresCommand)
	if err != nil {
		return err
	}
	if ofStores, err := migrate.IsStoresJournal(ctx, journal); err != nil || ofStores {
		if err != nil {
			return err
		}
		return a.rollbackStores(ctx, dir, miner, journal, o.dryRun)
	}
	repo, err := a.openDestRepo(ctx, dir, miner, !o.dryRun)
	if err != nil {
		return err
	}
	defer closing(&err, repo)
	store := migrate.WithOrigins(migrate.NewRepo(repo, dir, migrate.RollbackCommand, miner, a.fs), !o.dryRun, a.fs)
	defer closing(&err, store)
	return a.rollback(ctx, migrate.Rollback{Store: store, Journal: journal, Keep: migrate.KeepRepoKeys, DryRun: o.dryRun},
		rollbackWords(miner, dir)...)
}

// rollbackStores takes back what `export stores` wrote: files, and nothing in the
// repo's database.
func (a *app) rollbackStores(ctx context.Context, dir string, miner abi.ActorID, journal string, dryRun bool) (err error) {
	_, release, err := a.holdDestRepo(ctx, dir, miner, !dryRun)
	if err != nil {
		return err
	}
	defer release(&err)
	files := migrate.NewRepoFiles(dir, migrate.RollbackStoresCommand, miner, a.fs)
	return a.rollback(ctx, migrate.Rollback{
		Store: files, Journal: journal, Hold: files.Hold, DryRun: dryRun,
		Keep: func(string) bool { return false },
	}, rollbackWords(miner, dir)...)
}

func rollbackWords(miner abi.ActorID, repo string) []string {
	return []string{"export", "--miner", sector.MinerString(miner), "rollback", "--dest-repo", repo}
}

// findJournal finds what to undo in target: what the user named, or else the
// newest journal of the commands in dir. It says which run that is: a run that was
// stopped before it wrote anything has none, and then it is the one before.
func (a *app) findJournal(dir, target, given string, commands ...string) (journal string, err error) {
	if given != "" {
		if given, err = a.expandHome(given); err != nil {
			return "", err
		}
	}
	if journal, err = migrate.FindJournal(dir, given, commands...); err != nil {
		return "", err
	}
	run, err := migrate.CheckJournal(journal, target, given != "", commands...)
	if err != nil {
		return "", err
	}
	if given == "" {
		run += ", the newest that wrote something"
	}
	a.ui.Notice("undoing " + run + ": " + journal)
	return journal, nil
}

// rollback undoes a run, and says how to take that back; words are those of its
// own command.
func (a *app) rollback(ctx context.Context, rb migrate.Rollback, words ...string) error {
	rb.Observe = func(e migrate.RollbackEvent) { a.ui.Key(e) }
	report, err := rb.Run(ctx)
	if err != nil {
		return a.interrupted(nil, err)
	}
	a.ui.RollbackSummary(report)
	if report.Journal != "" {
		a.ui.Printf("take this back with: %s\n", undoLine(report.Journal, words...))
	}
	if report.Kept > 0 {
		return errIncomplete
	}
	return nil
}
