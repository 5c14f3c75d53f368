package cli

import (
	"cmp"
	"errors"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// nextRelease is what a build is called that is on the way there.
const nextRelease = "0.1.0-dev"

// release is set when a release is built:
// -ldflags "-X damocles-manager/internal/cli.release=0.1.0".
var release string

// version is what this build is called: the release, and the commit that it was
// built from, as 0.1.0+git.0123456789ab, with .dirty where the tree had changes.
func version() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(release, info)
}

func versionOf(release string, info *debug.BuildInfo) string {
	name := cmp.Or(release, nextRelease)
	revision, dirty := vcs(info)
	if revision == "" {
		return name
	}
	name += "+git." + revision[:min(len(revision), 12)]
	if dirty {
		name += ".dirty"
	}
	return name
}

// vcs is what the Go tool has noted of the commit; empty for a build outside of a
// checkout, or a test.
func vcs(info *debug.BuildInfo) (revision string, dirty bool) {
	if info == nil {
		return "", false
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	return revision, dirty
}

// versionLine is the version in --json output.
type versionLine struct {
	Type     string `json:"type"`
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Dirty    bool   `json:"dirty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// addVersion gives the root command --version.
func addVersion(a *app, root *cobra.Command) {
	var show bool
	root.Flags().BoolVar(&show, "version", false, "print the version of this program")
	run := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if !show {
			return run(cmd, args)
		}
		if err := noArgs(cmd, args); err != nil {
			return err
		}
		return a.showVersion()
	}
}

func (a *app) showVersion() error {
	a.ui.Printf("damocles-manager %s\n", version())
	line := versionLine{
		Type: "version", Version: version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, _ := debug.ReadBuildInfo()
	line.Revision, line.Dirty = vcs(info)
	return errors.Join(a.ui.Object(line), a.ui.Object(struct {
		Type  string `json:"type"`
		Count int    `json:"count"`
	}{"summary", 1}))
}
