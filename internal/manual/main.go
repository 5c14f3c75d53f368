package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"damocles-manager/internal/cli"
)

func main() {
	texts := flag.Bool("licences", false, "print the texts of the licences of what is linked in, for a release, and write nothing")
	top := flag.String("top", filepath.Join("..", ".."), "the top of the tree")
	flag.Parse()
	do := func() error { return write(*top) }
	if *texts {
		do = func() error { return licenceTexts(os.Stdout, *top) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}

// write puts what is generated in its place below the top of the tree, and takes
// away the pages of commands that are no more.
func write(top string) error {
	made, err := generate(top)
	if err != nil {
		return err
	}
	for _, dir := range []string{manDir, completionsDir} {
		err := filepath.WalkDir(filepath.Join(top, dir), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
				return nil
			}
			if err != nil {
				return err
			}
			if name, err := filepath.Rel(top, path); err != nil || made[filepath.ToSlash(name)] != nil {
				return err
			}
			return os.Remove(path)
		})
		if err != nil {
			return err
		}
	}
	for name, data := range made {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

const (
	manDir         = "man"
	completionsDir = "completions"
	thirdParty     = "THIRD_PARTY.md"
)

// generate makes all files, by their names below the top of the tree.
func generate(top string) (map[string][]byte, error) {
	root := cli.Commands()
	made := map[string][]byte{}
	for _, cmd := range all(root) {
		made[manDir+"/"+pageName(cmd)+".1"] = page(cmd)
	}
	for shell, gen := range map[string]func(*bytes.Buffer) error{
		"bash": func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"zsh":  func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"fish": func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
	} {
		var b bytes.Buffer
		if err := gen(&b); err != nil {
			return nil, err
		}
		made[completionsDir+"/"+shell+"/"+completionNames[shell]] = b.Bytes()
	}
	licences, err := licences(top)
	if err != nil {
		return nil, err
	}
	made[thirdParty] = licences
	return made, nil
}

// all lists a command and those below it that a user may find.
func all(cmd *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			out = append(out, all(sub)...)
		}
	}
	return slices.Clip(out)
}
