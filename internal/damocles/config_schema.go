package damocles

// configKind says what a key of sector-manager.cfg holds.
type configKind int

const (
	kindText configKind = iota
	kindPath
	kindSecret // as text, and never shown
	kindNode   // the address of a node, with or without a token
	kindBool
	kindInt
	kindUint
	kindUint32
	kindFloat
	kindDuration
	kindNanos // a duration that may be written as a number of nanoseconds
	kindFIL
	kindAddress
	kindAddresses
	kindActor
	kindActors
	kindTexts
	kindNodes
	kindMeta   // a table of any keys, all text
	kindTable  // [section]
	kindTables // [[section]]
)

// configKey is a key or a section of sector-manager.cfg as damocles v0.13 knows
// it. The text of a new file, the check of an old one, and the answer of
// GetMinerConfig all come from it.
type configKey struct {
	name string
	kind configKind
	// value is the default in TOML; empty where the key is absent by default.
	value string
	// example stands in a new file in place of the default.
	example string
	text    string
	// old keys are read, but not written into a new file.
	old bool
	// gone says what took the place of a key that v0.13 reads no longer.
	gone string
	keys []configKey
}

// configSchema is the whole file. Keys stand in the order of the structs of
// damocles, which is the order of its JSON.
func configSchema() []configKey {
	return []configKey{
		{name: "Common", kind: kindTable, keys: commonSchema()},
		{name: "Miners", kind: kindTables, keys: minerSchema(), text: "one for each miner"},
	}
}

func commonSchema() []configKey {
	return []configKey{
		{name: "API", kind: kindTable, keys: apiSchema(), text: "the nodes of the network"},
		{name: "Plugins", kind: kindTable, keys: []configKey{
			{name: "Dir", kind: kindPath, value: `""`, text: "directory of the plugins; empty for none"},
		}},
		{name: "PieceStores", kind: kindTables, keys: pieceStoreSchema(), text: "directories with the data of offline deals"},
		{name: "PieceStorePreset", kind: kindTable, gone: "set these keys in each of [[Common.PersistStores]]"},
		{name: "PersistStores", kind: kindTables, keys: persistStoreSchema(), text: "one for each directory with sealed sectors"},
		{name: "ScanPersistStores", kind: kindTexts, value: `[]`, example: `["/filecoin/*"]`,
			text: "patterns of directories: those that hold a sectorstore.json are stores, too"},
		{name: "MongoKVStore", kind: kindTable, old: true, keys: append([]configKey{
			{name: "Enable", kind: kindBool, value: `false`, text: "goes before Common.DB"},
		}, mongoSchema()...)},
		{name: "DB", kind: kindTable, keys: dbSchema(), text: "where the metadata is kept"},
		{name: "Proving", kind: kindTable, keys: provingSchema(), text: "how sectors are checked before a proof"},
	}
}

func apiSchema() []configKey {
	const node = `"/ip4/127.0.0.1/tcp/45132"`
	return []configKey{
		{name: "Chain", kind: kindNode, example: node, text: "the chain node, as ADDRESS or TOKEN:ADDRESS; default: the first of Gateway"},
		{name: "Messager", kind: kindNode, example: node, text: "the node that sends messages; default: the first of Gateway"},
		{name: "Market", kind: kindNode, example: node, text: "the market node; default: the first of Gateway"},
		{name: "Gateway", kind: kindNodes, example: `[` + node + `]`, text: "the gateways, each as ADDRESS or TOKEN:ADDRESS"},
		{name: "Token", kind: kindSecret, value: `""`, text: "the token for nodes that have none of their own"},
		{name: "ChainEventInterval", kind: kindDuration, value: `"1m0s"`, text: "how often the chain's head is looked at"},
	}
}

func pieceStoreSchema() []configKey {
	return []configKey{
		{name: "Name", kind: kindText, example: `"pieces1"`, text: "default: the path"},
		{name: "Path", kind: kindPath, example: `"/mnt/pieces1"`, text: "an absolute path"},
		{name: "ReadOnly", kind: kindBool, value: `false`, text: "nothing is written to it"},
		{name: "Plugin", kind: kindText, value: `""`, old: true},
		{name: "PluginName", kind: kindText, value: `""`, text: "the plugin that reads it; empty for a directory"},
		{name: "Meta", kind: kindMeta, text: "for the plugin"},
	}
}

func persistStoreSchema() []configKey {
	return []configKey{
		{name: "Name", kind: kindText, example: `"store1"`, text: "default: the path. Sectors are found by it: do not change it later"},
		{name: "Path", kind: kindPath, example: `"/mnt/store1"`, text: "an absolute path to a directory that exists"},
		{name: "Strict", kind: kindBool, value: `false`, text: "what is no regular file is not read"},
		{name: "ReadOnly", kind: kindBool, value: `false`, text: "no new sectors are put there"},
		{name: "Weight", kind: kindUint, value: `1`, text: "its share of the new sectors; 0 counts as 1"},
		{name: "AllowMiners", kind: kindActors, example: `[1000]`, text: "only these miners, by number; default: all"},
		{name: "DenyMiners", kind: kindActors, example: `[1001]`, text: "never these miners; goes before AllowMiners"},
		{name: "Plugin", kind: kindText, value: `""`, old: true},
		{name: "PluginName", kind: kindText, value: `""`, text: "the plugin that keeps it; empty for a directory"},
		{name: "Meta", kind: kindMeta, text: "for the plugin"},
	}
}

func dbSchema() []configKey {
	return []configKey{
		{name: "Driver", kind: kindText, value: `"badger"`, text: "badger, mongo or plugin"},
		{name: "Badger", kind: kindTable, keys: []configKey{
			{name: "BaseDir", kind: kindPath, value: `""`, text: "directory of the databases; empty for the home"},
		}},
		{name: "Mongo", kind: kindTable, keys: mongoSchema()},
		{name: "Plugin", kind: kindTable, keys: []configKey{
			{name: "PluginName", kind: kindText, value: `""`, text: "the plugin of the driver plugin"},
			{name: "Meta", kind: kindMeta, text: "for the plugin"},
		}},
	}
}

func mongoSchema() []configKey {
	return []configKey{
		{name: "DSN", kind: kindSecret, example: `"mongodb://127.0.0.1:27017/?replicaSet=rs0"`, text: "the server, for the driver mongo"},
		{name: "DatabaseName", kind: kindText, example: `"damocles"`, text: "the database on that server"},
	}
}

func provingSchema() []configKey {
	return []configKey{
		{name: "ParallelCheckLimit", kind: kindInt, value: `128`, text: "sectors checked at once; 0 for no bound"},
		{name: "SingleCheckTimeout", kind: kindDuration, value: `"10m0s"`, text: "a sector that takes longer is skipped"},
		{name: "PartitionCheckTimeout", kind: kindDuration, value: `"20m0s"`, text: "what is not checked by then is skipped"},
		{name: "WorkerProver", kind: kindTable, text: "Window PoSt by workers", keys: []configKey{
			{name: "JobMaxTry", kind: kindUint32, value: `2`, text: "attempts at a job"},
			{name: "HeartbeatTimeout", kind: kindNanos, value: `"15s"`, text: "a job that is silent for longer has failed"},
			{name: "JobLifetime", kind: kindNanos, value: `"25h0m0s"`, text: "jobs are removed after it"},
		}},
	}
}
