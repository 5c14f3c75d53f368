package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// linked is a module of which something is in the binary.
type linked struct {
	Path, Version, Dir string
	licences           []string
}

// completionNames is what each shell looks for.
var completionNames = map[string]string{"bash": "damocles-manager", "zsh": "_damocles-manager", "fish": "damocles-manager.fish"}

// licences lists what is linked into the binary, and under which licence. It asks
// the Go tool and reads the module cache; the network is not needed.
func licences(top string) ([]byte, error) {
	modules, err := modulesOf(top)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("# What is linked in\n\nThe modules of which the binary has code, and the licences whose texts they carry: to choose from, or " +
		"each for a part. Written by `make manual`.\n\n| module | version | licence |\n| --- | --- | --- |\n")
	var bad []error
	for _, m := range modules {
		if m.licences, err = licencesIn(m.Dir); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", m.Path, err))
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.Path, m.Version, strings.Join(m.licences, ", "))
	}
	return b.Bytes(), errors.Join(bad...)
}

// modulesOf lists the modules that the released binaries are made of, but ours.
func modulesOf(top string) ([]linked, error) {
	var modules []linked
	for _, arch := range []string{"amd64", "arm64"} {
		some, err := modulesFor(top, arch)
		if err != nil {
			return nil, err
		}
		modules = append(modules, some...)
	}
	slices.SortFunc(modules, func(a, b linked) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(modules, func(a, b linked) bool { return a.Path == b.Path }), nil
}

func modulesFor(top, arch string) (modules []linked, err error) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}"+
		`{"Path":{{printf "%q" .Path}},"Version":{{printf "%q" .Version}},"Dir":{{printf "%q" .Dir}}}`+"{{end}}{{end}}", "./cmd/damocles-manager")
	cmd.Dir, cmd.Stderr = top, os.Stderr
	// the same list on every machine
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var m linked
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return modules, nil
		} else if err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
}

// allowed are the licences that may be linked in, each by words that stand in its
// text.
var allowed = []struct {
	name  string
	words []string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0"}},
	{"Apache-2.0", []string{"permissive license stack", "apache-2.0 software license"}},
	{"MIT", []string{"permissive license stack", "mit software license"}},
	{"MIT", []string{"permission is hereby granted, free of charge", "the software is provided \"as is\""}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "neither the name"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms", "this list of conditions"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose"}},
	{"MPL-2.0", []string{"mozilla public license", "version 2.0"}},
	{"CC0-1.0", []string{"cc0 1.0 universal"}},
}

// licencesIn names the licences whose texts lie in a module.
func licencesIn(dir string) ([]string, error) {
	var found []string
	err := eachText(dir, func(_ string, raw []byte) { found = append(found, licencesOf(string(raw))...) })
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	if found = slices.Compact(found); len(found) == 0 {
		return nil, errors.New("it carries no licence of those that are allowed (internal/manual/licences.go)")
	}
	return found, nil
}

// licenceTexts prints what has to go with a binary: the licences and notices of
// all that is linked into it.
func licenceTexts(w io.Writer, top string) error {
	modules, err := modulesOf(top)
	if err != nil {
		return err
	}
	for _, m := range modules {
		err := eachText(m.Dir, func(name string, raw []byte) {
			fmt.Fprintf(w, "==== %s %s: %s\n\n%s\n", m.Path, m.Version, name, bytes.TrimSpace(raw))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachText reads the licences and notices of a module.
func eachText(dir string, fn func(name string, raw []byte)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !isLicence(e) {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fn(e.Name(), raw)
	}
	return nil
}

func isLicence(e fs.DirEntry) bool {
	name := strings.ToUpper(e.Name())
	return !e.IsDir() && slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"},
		func(head string) bool { return strings.HasPrefix(name, head) })
}

// licencesOf names the licences that a text is, or that it says to choose from;
// none where it is one that is not allowed.
func licencesOf(text string) (found []string) {
	text = strings.Join(strings.Fields(strings.ToLower(text)), " ")
	if strings.Contains(text[:min(len(text), 200)], "gnu ") { // the MPL names them, too, but not at its head
		return nil
	}
	for _, l := range allowed {
		if slices.ContainsFunc(l.words, func(w string) bool { return !strings.Contains(text, w) }) {
			continue
		}
		if l.name == "BSD-2-Clause" && slices.Contains(found, "BSD-3-Clause") {
			continue // its words stand in the longer one, too
		}
		found = append(found, l.name)
	}
	return found
}
