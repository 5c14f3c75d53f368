package damocles

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
)

const storeJSONName = "sectorstore.json"

// scannedStore is what damocles reads of a sectorstore.json.
type scannedStore struct {
	ID, Name, Path          string
	Meta                    map[string]string
	Strict, ReadOnly        bool
	Weight                  uint
	AllowMiners, DenyMiners []abi.ActorID
	Plugin, PluginName      string
}

// scans checks what the patterns of ScanPersistStores find. Lines are those of
// the patterns.
func (c *configCheck) scans(common *tomlNode) {
	patterns := common.find("ScanPersistStores")
	if patterns == nil {
		return
	}
	for i, item := range patterns.list {
		if item.kind == tomlString {
			c.scan(item, fmt.Sprintf("Common.ScanPersistStores[%d]", i))
		}
	}
}

func (c *configCheck) scan(item *tomlNode, key string) {
	pattern := item.text
	dirs, err := c.disk.glob(pattern)
	if err != nil {
		c.fatal(item.line, key, fmt.Sprintf("%q is no pattern", pattern), `close every [ with a ], or write \[ for the character itself`)
		return
	}
	if pattern != "" && !filepath.IsAbs(pattern) {
		c.tell(item.line, key, relative(pattern), "write an absolute path")
	}
	stores := 0
	for _, dir := range dirs {
		if c.scanned(dir, key, item.line) {
			stores++
		}
	}
	switch {
	case len(dirs) == 0:
		c.tell(item.line, key, fmt.Sprintf("nothing matches %q", pattern), "check that the disks are mounted: their stores are missing otherwise")
	case stores == 0:
		c.tell(item.line, key, fmt.Sprintf("nothing that matches %q holds a %s", pattern, storeJSONName),
			"the pattern has to match the stores themselves; `util storage attach --init` makes a store")
	}
}

// scanned checks a directory that a pattern matches; false if it is no store.
func (c *configCheck) scanned(dir, key string, line int) bool {
	path := filepath.Join(dir, storeJSONName)
	info, err := c.disk.stat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	var raw []byte
	if err == nil {
		raw, err = c.disk.read(path)
	}
	if err != nil {
		c.fatal(line, key, fmt.Sprintf("%s cannot be read", path), "let this user read it, or take the directory out of the pattern")
		return true
	}
	var store scannedStore
	if err := json.Unmarshal(raw, &store); err != nil {
		c.badStore(path, key, line, err)
		return true
	}
	c.scannedName(dir, store, key, line)
	if real, err := c.directory(dir); err == nil {
		c.once(real, key, line)
	}
	return true
}

func (c *configCheck) badStore(path, key string, line int, err error) {
	hint := "correct the file, or take its directory out of the pattern"
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && (bad.Field == "AllowMiners" || bad.Field == "DenyMiners") {
		hint = "lotus-miner writes miners as \"t01000\", damocles-manager as 1000: take the list out, or name the directory in [[Common.PersistStores]]"
	}
	c.fatal(line, key, fmt.Sprintf("%s: %v", path, fault.JSON(err)), hint)
}

func (c *configCheck) scannedName(dir string, store scannedStore, key string, line int) {
	name := dir
	for _, given := range []string{store.ID, store.Name} {
		if given != "" {
			name = given
		}
	}
	if first, taken := c.names[name]; taken {
		c.fatal(line, key, fmt.Sprintf("the store in %s is named %q, as is %s on line %d", dir, name, first.key, first.line),
			"take the section out of [[Common.PersistStores]], or give the store another Name in its "+storeJSONName)
		return
	}
	c.names[name] = place{fmt.Sprintf("%s (%s)", key, dir), line}
}
