package damocles

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"damocles-manager/internal/fault"
)

const (
	defaultHome = "~/.damocles-manager"
	legacyHome  = "~/.venus-sector-manager"
)

// Location is where a home is, and who said so.
type Location struct {
	// Dir is absolute.
	Dir string
	// Given is whether the user named it, by flag or by variable.
	Given bool
	// By is "--home", the name of the variable, "default", or "legacy default".
	By string
	// Exists is whether the directory is there.
	Exists bool
}

// FindHome finds the home as damocles-manager does: the flag, then the first
// variable that is set, then ~/.damocles-manager, in place of which the older
// ~/.venus-sector-manager is taken where only that one exists. Other than in
// damocles, the older one never stands in for a home that was named: a typing
// error must not lead into another home.
func FindHome(flag string, getenv func(string) string) (Location, error) {
	if flag != "" {
		return locateHome(flag, "--home", true, getenv)
	}
	for _, name := range []string{"DAMOCLES_PATH", "VENUS_SECTOR_MANAGER_PATH", "VSM_PATH"} {
		if dir := getenv(name); dir != "" {
			return locateHome(dir, name, true, getenv)
		}
	}
	at, err := locateHome(defaultHome, "default", false, getenv)
	if err != nil || at.Exists {
		return at, err
	}
	legacy, err := locateHome(legacyHome, "legacy default", false, getenv)
	if err == nil && legacy.Exists {
		return legacy, nil
	}
	return at, err
}

func locateHome(dir, by string, given bool, getenv func(string) string) (Location, error) {
	dir, err := expand(dir, getenv)
	if err != nil {
		return Location{}, fault.New("give the home with --home", "find the damocles home (%s): %w", by, err)
	}
	at := Location{Dir: dir, Given: given, By: by}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return Location{}, fault.New("run as a user who may read it", "find the damocles home (%s): %w", by, err)
	case !info.IsDir():
		return Location{}, fault.New("name the home directory, not a file",
			"the damocles home %s (%s) is not a directory", dir, by)
	default:
		at.Exists = true
	}
	return at, nil
}

// IsHome says whether a directory is a home in Badger: it has a configuration or
// a database. One that has neither is mostly another directory, or the place
// where a disk is not mounted, and must not be taken for a home without sectors.
func IsHome(dir string, cfg Config) bool {
	return cfg.Found || hasDatabase(cfg.DBDir(dir))
}

// hasDatabase says whether there is any collection below base. One that cannot
// be looked at counts: what is wrong with it shows when it is opened.
func hasDatabase(base string) bool {
	return slices.ContainsFunc(collections(), func(name string) bool {
		_, err := os.Stat(filepath.Join(base, name))
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// expand makes a path absolute, a leading ~ being the user's own directory.
func expand(path string, getenv func(string) string) (string, error) {
	if path == "~" || strings.HasPrefix(path, "~/") {
		user := getenv("HOME")
		if user == "" {
			return "", errors.New("cannot expand ~: HOME is not set")
		}
		path = filepath.Join(user, path[1:])
	}
	return filepath.Abs(path)
}
