package damocles

import (
	"bytes"
	"cmp"
	"fmt"
)

// ConfigName is the name of the configuration in its directory.
const ConfigName = configName

// ProverName is the second file that damocles keeps beside its configuration:
// the programs that prove for it. Nothing here reads it, but damocles itself,
// started on the home with its external provers, does.
const ProverName = "ext-prover.cfg"

const configIntro = `# The configuration of damocles-manager.
#
# A line that begins with # and a key shows the key's default, or an example where
# it has none. Take the # away to set it. A section in [[ ]] may be written more
# than once; take the # from its header, too.
`

const proverIntro = `# The programs that compute proofs in place of damocles-manager itself. It reads
# this file when it is started with external provers; without sections there are
# none.
`

// InitConfig is the text of a new sector-manager.cfg: every key, and none of
// them set. Sections that make a store or a miner are comments altogether: an
// empty one would be the store in the directory where the daemon was started.
func InitConfig() []byte {
	w := &configWriter{}
	w.out.WriteString(configIntro)
	w.sections(configSchema(), "", "")
	return w.out.Bytes()
}

// InitProver is the text of a new ext-prover.cfg.
func InitProver() []byte {
	w := &configWriter{}
	w.out.WriteString(proverIntro)
	for _, name := range []string{"WdPost", "WinPost"} {
		w.sections([]configKey{{name: name, kind: kindTables, keys: []configKey{
			{name: "Bin", kind: kindPath, example: `"/usr/local/bin/prover"`, text: "the program; default: damocles-manager itself"},
			{name: "Args", kind: kindTexts, example: `["processor", "wdpost"]`, text: "what it is started with"},
			{name: "Concurrent", kind: kindUint, value: `1`, text: "proofs at once"},
			{name: "Weight", kind: kindUint, value: `1`, text: "its share of the work"},
			{name: "ReadyTimeoutSecs", kind: kindUint, value: `5`, text: "seconds for it to be ready"},
			{name: "Envs", kind: kindMeta, text: "variables of its environment"},
		}}}, "", "")
	}
	return w.out.Bytes()
}

type configWriter struct{ out bytes.Buffer }

// sections writes the sections among keys. off is "#" below a header that is
// itself a comment.
func (w *configWriter) sections(keys []configKey, path, off string) {
	for _, k := range keys {
		if k.old || k.gone != "" {
			continue
		}
		switch k.kind {
		case kindTable:
			w.section(k, path, off, "[%s]")
		case kindTables:
			w.section(k, path, "#", "[[%s]]")
		case kindMeta:
			fmt.Fprintf(&w.out, "%s[%s]\n#SomeKey = \"SomeValue\" # %s\n", off, join(path, k.name), k.text)
		}
	}
}

func (w *configWriter) section(k configKey, path, off, header string) {
	path = join(path, k.name)
	fmt.Fprintf(&w.out, "\n"+off+header, path)
	w.comment(k.text)
	for _, sub := range k.keys {
		if isSection(sub.kind) || sub.old || sub.gone != "" {
			continue
		}
		fmt.Fprintf(&w.out, "#%s = %s", sub.name, cmp.Or(sub.example, sub.value))
		w.comment(sub.text)
	}
	w.sections(k.keys, path, off)
}

func (w *configWriter) comment(text string) {
	if text != "" {
		text = " # " + text
	}
	w.out.WriteString(text + "\n")
}

func isSection(kind configKind) bool {
	return kind == kindTable || kind == kindTables || kind == kindMeta
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
