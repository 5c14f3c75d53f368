package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Sweep removes the temporary files that a killed process has left in dir, of
// files that it was making under a name that matches pattern, as filepath.Match
// has it. Whoever calls it has to keep others from making such files meanwhile.
// A dir that is not there has none.
func (s FS) Sweep(dir, pattern string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for temporary files: %w", err)
	}
	for _, e := range entries {
		match, err := filepath.Match(pattern, tempOf(e.Name()))
		if err != nil {
			return err
		}
		if !match || !e.Type().IsRegular() {
			continue
		}
		if err := s.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// tempOf returns the name that a file under one of createTemp's names was going
// to get, "" for any other name.
func tempOf(name string) string {
	inner, hidden := strings.CutPrefix(name, ".")
	inner, temp := strings.CutSuffix(inner, ".tmp")
	dot := strings.LastIndexByte(inner, '.')
	if !hidden || !temp || dot < 0 || strings.Trim(inner[dot+1:], "0123456789") != "" {
		return ""
	}
	return inner[:dot]
}
