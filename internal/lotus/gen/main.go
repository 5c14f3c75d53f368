// Command gen writes cbor_gen.go of package lotus. go generate runs it there.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"os"

	cbg "github.com/whyrusleeping/cbor-gen"

	"damocles-manager/internal/lotus"
)

func main() {
	src, err := generate()
	if err == nil {
		err = os.WriteFile("cbor_gen.go", src, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// generate returns the source of every encoder. lotus writes most types as maps
// and those it shares with the chain as arrays, and cbor-gen's own file writers
// take one kind only.
func generate() ([]byte, error) {
	maps, err := parse(lotus.SectorInfo{}, lotus.Log{}, lotus.SectorPiece{}, lotus.PieceDealInfo{},
		lotus.DealSchedule{}, lotus.SectorLocation{}, lotus.SectorLocationHeader{})
	if err != nil {
		return nil, err
	}
	tuples, err := parse(lotus.PieceActivationManifest{}, lotus.VerifiedAllocationKey{},
		lotus.DataActivationNotification{})
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	all := append(append([]*cbg.GenTypeInfo{}, maps...), tuples...)
	if err := cbg.PrintHeaderAndUtilityMethods(&buf, "lotus", all); err != nil {
		return nil, err
	}
	for _, t := range maps {
		if err := cbg.GenMapEncodersForType(t, &buf); err != nil {
			return nil, fmt.Errorf("generate %s: %w", t.Name, err)
		}
	}
	for _, t := range tuples {
		if err := cbg.GenTupleEncodersForType(t, &buf); err != nil {
			return nil, fmt.Errorf("generate %s: %w", t.Name, err)
		}
	}
	return format.Source(buf.Bytes())
}

func parse(types ...any) ([]*cbg.GenTypeInfo, error) {
	var out []*cbg.GenTypeInfo
	for _, t := range types {
		info, err := cbg.ParseTypeInfo(t)
		if err != nil {
			return nil, fmt.Errorf("parse %T: %w", t, err)
		}
		out = append(out, info)
	}
	return out, nil
}
