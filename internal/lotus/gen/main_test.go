package main

import (
	"bytes"
	"os"
	"testing"
)

// The encoders are committed, so a change of the types must not leave them behind.
func TestGeneratedFileIsCurrent(t *testing.T) {
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../cbor_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("cbor_gen.go is stale: run go generate in internal/lotus")
	}
}
