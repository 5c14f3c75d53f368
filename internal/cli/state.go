package cli

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

func newStateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "state <minerID> <sectorNum>",
		Short:   "Load and display the detailed sector state",
		Long:    "Load and display the detailed sector state, wherever damocles has it.",
		Example: "  damocles-manager util sealer sectors state f01000 100",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return fault.BadUsage("as in `"+cmd.CommandPath()+" f01000 100`", "state takes a miner and a sector number")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0], args[1])
			if err != nil {
				return err
			}
			return runState(cmd.Context(), a, id)
		},
	}
	cmd.Flags().Bool("offline", false, "has no effect: a sector is looked for online and offline")
	return cmd
}

func parseID(miner, number string) (sector.ID, error) {
	m, err := sector.ParseMiner(miner)
	if err != nil {
		return sector.ID{}, err
	}
	n, err := sector.ParseNumber(number)
	return sector.ID{Miner: m, Number: n}, err
}

func runState(ctx context.Context, a *app, id sector.ID) (err error) {
	side, err := a.damoclesSide(ctx, access{})
	if err != nil {
		return err
	}
	defer closing(&err, side)
	raw, ws, err := side.find(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.stateJSON(id, ws, raw)
	}
	state, err := damocles.DecodeState(raw)
	if err != nil {
		return fault.New("--json prints it as it is", "the record of %s cannot be decoded: %w", id, err)
	}
	return damocles.WriteState(a.ui.Out(), state)
}

// stateJSON prints the record as it is, and in base64 where it is no JSON.
func (a *app) stateJSON(id sector.ID, ws damocles.Workspace, raw []byte) error {
	line := struct {
		Type      string             `json:"type"`
		Miner     string             `json:"miner"`
		Number    uint64             `json:"number"`
		Workspace damocles.Workspace `json:"workspace"`
		State     json.RawMessage    `json:"state"`
		Raw       []byte             `json:"raw,omitempty"`
	}{Type: "state", Miner: sector.MinerString(id.Miner), Number: uint64(id.Number), Workspace: ws, State: raw}
	if !json.Valid(raw) {
		line.State, line.Raw = nil, raw
	}
	return errors.Join(a.ui.Object(line), a.ui.Object(struct {
		Type  string `json:"type"`
		Count int    `json:"count"`
	}{"summary", 1}))
}

// find looks for a sector online, then offline, as damocles does.
func (s *damoclesSide) find(ctx context.Context, id sector.ID) ([]byte, damocles.Workspace, error) {
	for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
		raw, found, err := s.stateIn(ctx, ws, id)
		if err != nil {
			return nil, "", err
		}
		if found {
			return raw, ws, nil
		}
	}
	return nil, "", fault.New("`util sealer sectors list` and `list --offline` show what is there",
		"damocles has no sector %s: key not found", id)
}

// stateIn looks for a sector in one workspace.
func (s *damoclesSide) stateIn(ctx context.Context, ws damocles.Workspace, id sector.ID) ([]byte, bool, error) {
	if s.daemon != nil {
		return s.daemon.FindSector(ctx, ws, abi.SectorID(id))
	}
	return s.home.Get(ctx, ws, id.Miner, id.Number)
}
