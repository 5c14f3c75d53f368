package damocles

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// textOf returns a key's text; empty where it is not there or is no text.
func textOf(n *tomlNode, name string) string {
	if at := n.find(name); at != nil && at.kind == tomlString {
		return at.text
	}
	return ""
}

// lineOf is the line of a key, and where it is not there that of its section.
func lineOf(n *tomlNode, name string) int {
	if at := n.find(name); at != nil {
		return at.line
	}
	return n.line
}

func (c *configCheck) database(common *tomlNode) {
	db := common.find("DB")
	driver := textOf(db, "Driver")
	if old := common.find("MongoKVStore"); old != nil {
		if on := old.find("Enable"); on != nil && on.text == "true" {
			if driver != "" && !strings.EqualFold(driver, "mongo") {
				c.tell(on.line, "Common.MongoKVStore.Enable", "it goes before the Driver of Common.DB: MongoDB is used",
					"set Enable = false, or set the Driver to mongo and move the keys into [Common.DB.Mongo]")
			}
			c.mongo(old, old.line, "Common.MongoKVStore")
			return
		}
	}
	if db == nil {
		return
	}
	line := lineOf(db, "Driver")
	switch strings.ToLower(driver) {
	case "", "badger":
		c.baseDir(db.find("Badger"))
	case "mongo":
		c.mongo(db.find("Mongo"), line, "Common.DB.Mongo")
	case "plugin":
		c.fatal(line, "Common.DB.Driver", "a database of a plugin can only be opened by the damocles-manager that the plugin was built for",
			"serve this home with that damocles-manager, or use the driver badger or mongo")
	default:
		c.fatal(line, "Common.DB.Driver", fmt.Sprintf("%q is no driver", driver), "it is badger, mongo or plugin")
	}
}

func (c *configCheck) mongo(at *tomlNode, line int, key string) {
	dsn := textOf(at, "DSN")
	if at != nil && at.kind == tomlTable {
		line = at.line
	}
	switch {
	case dsn == "":
		c.fatal(line, key+".DSN", "the driver mongo needs it", `write it into [`+key+`] as DSN = "mongodb://HOST:27017"`)
	case !strings.HasPrefix(dsn, "mongodb://") && !strings.HasPrefix(dsn, "mongodb+srv://"):
		c.fatal(lineOf(at, "DSN"), key+".DSN", "it is no address of a MongoDB server", "it begins with mongodb:// or mongodb+srv://")
	}
	if textOf(at, "DatabaseName") == "" {
		c.fatal(line, key+".DatabaseName", "the driver mongo needs it", `write it into [`+key+`] as DatabaseName = "damocles"`)
	}
}

func (c *configCheck) baseDir(badger *tomlNode) {
	dir := textOf(badger, "BaseDir")
	if dir != "" && !filepath.IsAbs(dir) {
		c.tell(lineOf(badger, "BaseDir"), "Common.DB.Badger.BaseDir", relative(dir), "write an absolute path")
	}
}

func relative(path string) string {
	if strings.HasPrefix(path, "~") {
		return "~ is not your home here, but a directory of that name below the one that the daemon is started in"
	}
	return "it is not absolute: what it is depends on the directory that the daemon is started in"
}

// pieceStores are not needed here, so what is wrong with them is only told.
func (c *configCheck) pieceStores(common *tomlNode) {
	for i, s := range common.tables("PieceStores") {
		key := fmt.Sprintf("Common.PieceStores[%d].Path", i)
		if path := textOf(s, "Path"); path == "" {
			c.tell(lineOf(s, "Path"), key, "it is not set, and damocles-manager takes the directory that it is started in", "set it, or take the section out")
		} else if plugin(s) == "" {
			if _, err := c.directory(path); err != nil {
				c.tell(lineOf(s, "Path"), key, err.Error(), "damocles-manager itself does not start without it: create or mount it")
			}
		}
	}
}

func plugin(store *tomlNode) string {
	return textOf(store, "PluginName") + textOf(store, "Plugin")
}

// directory looks whether a path is a directory, and returns it with all links
// resolved.
func (c *configCheck) directory(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%q cannot be made absolute", path)
	}
	info, err := c.disk.stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no directory %q", abs)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("the directory %q may not be looked at by this user", abs)
	case err != nil:
		return "", fmt.Errorf("the directory %q cannot be looked at", abs)
	case !info.IsDir():
		return "", fmt.Errorf("%q is no directory", abs)
	}
	if real, err := c.disk.real(abs); err == nil {
		return real, nil
	}
	return abs, nil
}

// persistStores checks the stores together: their names and directories.
func (c *configCheck) persistStores(common *tomlNode) {
	for i, s := range common.tables("PersistStores") {
		key := fmt.Sprintf("Common.PersistStores[%d]", i)
		path, name := textOf(s, "Path"), textOf(s, "Name")
		if name == "" {
			name = path
		}
		line := lineOf(s, "Name")
		if first, taken := c.names[name]; taken {
			c.fatal(line, key+".Name", fmt.Sprintf("the store on line %d is named %q, too", first.line, name),
				"give each of [[Common.PersistStores]] a name of its own")
		} else {
			c.names[name] = place{key, line}
		}
		c.storePath(s, path, key+".Path")
	}
}

func (c *configCheck) storePath(s *tomlNode, path, key string) {
	line := lineOf(s, "Path")
	if name := plugin(s); name != "" {
		c.tell(line, strings.TrimSuffix(key, "Path")+"PluginName", "the files of a plugin's store can only be read by the damocles-manager that the plugin was built for",
			"serve its sectors with that damocles-manager")
		return
	}
	if path == "" { // so is the section that the original's daemon init leaves
		c.tell(line, key, "it is not set: the section is left out here, and the original damocles-manager takes the directory that it is started in",
			"set Path, or take the section out")
		return
	}
	if !filepath.IsAbs(path) {
		c.tell(line, key, relative(path), "write an absolute path")
	}
	real, err := c.directory(path)
	if err != nil {
		c.fatal(line, key, err.Error(), "mount or create it, or correct the path; damocles-manager does not start without it")
		return
	}
	c.once(real, key, line)
}

// once tells of a directory that is more than one store.
func (c *configCheck) once(dir, key string, line int) {
	if first, taken := c.dirs[dir]; taken {
		c.tell(line, key, fmt.Sprintf("it is the directory of another store, too: %s on line %d", first.key, first.line),
			"keep one of them; the room in it is counted twice")
		return
	}
	c.dirs[dir] = place{key, line}
}
