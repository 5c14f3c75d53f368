package cli

import (
	"context"
	"errors"
	"io"

	"damocles-manager/internal/audit"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

// sealingLine is a line of --json output of --sealing-done.
type sealingLine struct {
	Type   string  `json:"type"` // always "sealing"
	System string  `json:"system"`
	Miner  string  `json:"miner,omitempty"`
	Number *uint64 `json:"number,omitempty"`
	Key    string  `json:"key,omitempty"`
	State  string  `json:"state,omitempty"`
	Reason string  `json:"reason,omitempty"`
}

// sealingSummary is the last line where nothing is being sealed.
type sealingSummary struct {
	Type    string   `json:"type"` // always "summary"
	Systems []string `json:"systems"`
	Sectors int      `json:"sectors"`
	Broken  int      `json:"broken"`
	Missing []string `json:"missing,omitempty"`

	sealing int
}

// runSealingDone is the preflight of a switch: neither system can finish what the
// other has begun to seal.
func runSealingDone(ctx context.Context, a *app, o checkOptions) (err error) {
	miner, numbers, err := o.selection()
	if err != nil {
		return err
	}
	opt := audit.Options{Miner: miner}
	sides, closer, err := a.sealingSides(ctx, o, &opt)
	defer func() {
		for _, c := range closer {
			closing(&err, c)
		}
	}()
	if err != nil {
		return err
	}
	sum := sealingSummary{Type: "summary"}
	for _, s := range sides {
		sum.Systems = append(sum.Systems, s.System)
	}
	looked, err := audit.SealingDone(ctx, opt.Miner, numbers, sides, func(u audit.Unfinished) error { return a.showSealing(u, &sum) })
	if err != nil {
		return err
	}
	sum.Sectors, sum.Missing = looked.Records, looked.Missing
	return a.endSealing(sum)
}

// endSealing says how it stands. What was not there to be looked at is not done.
func (a *app) endSealing(sum sealingSummary) error {
	for _, n := range sum.Missing {
		a.ui.Printf("number %s is nowhere: check --numbers\n", n)
	}
	switch {
	case sum.sealing > 0:
		return fault.Refuse("let the system that has them finish or give them up; one of damocles that is on chain already: `util sealer sectors finalize`",
			"%d sectors are still being sealed, and no other system can go on with them", sum.sealing)
	case sum.Sectors == 0:
		a.ui.Printf("no sector is known here, so nothing says that sealing is done: check --miner and --home\n")
	case sum.Broken == 0 && len(sum.Missing) == 0:
		a.ui.Printf("no sector is being sealed\n")
		return a.ui.Object(sum)
	}
	return errors.Join(errIncomplete, a.ui.Object(sum))
}

// sealingSides opens damocles, and lotus-miner where it is named. Where only the
// latter is, a damocles need not be there yet.
func (a *app) sealingSides(ctx context.Context, o checkOptions, opt *audit.Options) (sides []audit.Side, closer []io.Closer, err error) {
	var lotusOf *lotusSide
	if o.repo != "" || o.api != "" {
		if lotusOf, err = a.lotusSide(ctx, o.lotusFlags, o.jobs); err != nil {
			return nil, nil, err
		}
		closer = append(closer, lotusOf)
		if err := otherMiner(opt, lotusOf); err != nil {
			return nil, closer, err
		}
	}
	skip := false
	if lotusOf != nil && a.home == "" && !a.listenGiven {
		loc, err := damocles.FindHome("", a.env.Getenv)
		if err != nil {
			return nil, closer, err
		}
		skip = !loc.Exists && !loc.Given
		if endpoint, err := damocles.ParseEndpoint(a.listen); err == nil && skip && a.listen != listenNone {
			// One of another machine is looked for again, and is an error where it is down.
			skip = !answers(ctx, endpoint) && !a.namesAnother(endpoint.HostPort())
		}
	}
	if skip {
		a.ui.Info("there is no damocles here: only lotus-miner is looked at")
	} else {
		side, err := a.damoclesSide(ctx, access{jobs: o.jobs})
		if err != nil {
			return nil, closer, err
		}
		closer = append(closer, side)
		sides = append(sides, audit.Side{System: "damocles", Metadata: migrate.DamoclesRecords(a.damoclesSource(side, o.jobs))})
	}
	if lotusOf != nil {
		sides = append(sides, audit.Side{
			System: "lotus-miner", Metadata: migrate.LotusRecords(lotusOf.source, lotusOf.miner), Busy: lotus.Busy, Known: lotus.Known,
		})
	}
	return sides, closer, nil
}

func (a *app) showSealing(u audit.Unfinished, sum *sealingSummary) error {
	name, line := u.ID.String(), sealingLine{Type: "sealing", System: u.System, State: u.State, Key: u.Key}
	if u.Key != "" {
		name = u.Key
	} else {
		n := uint64(u.ID.Number)
		line.Miner, line.Number = sector.MinerString(u.ID.Miner), &n
	}
	if u.Err == nil {
		sum.sealing++
		a.ui.Printf("%s: being sealed in %s (%s)\n", name, u.System, u.State)
		return a.ui.Object(line)
	}
	sum.Broken++
	line.Reason = u.Err.Error()
	a.ui.Printf("%s: not known, in %s: %v\n", name, u.System, u.Err)
	return a.ui.Object(line)
}
