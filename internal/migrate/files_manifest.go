package migrate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"damocles-manager/internal/durable"
)

// ManifestDir is where a home keeps copies of the manifests of stores.
func ManifestDir(home string) string { return filepath.Join(home, "switching", "manifests") }

// KeepManifest copies a store's manifest into the home, over an older copy of
// the same store, and returns the copy's path.
func KeepManifest(fs durable.FS, home, manifest string) (string, error) {
	from, err := os.Open(manifest)
	if err != nil {
		return "", err
	}
	defer from.Close()
	dir := ManifestDir(home)
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	to := filepath.Join(dir, manifestCopyName(manifest))
	if err := fs.ReplaceFrom(to, from); err != nil {
		return "", err
	}
	return to, nil
}

// maxCopyName leaves room for what a temporary name adds to one of 255 bytes.
const maxCopyName = 200

// manifestCopyName says which store it is of: the directory's path, with what
// cannot be in a name written as in a URL. One that is too long for a name ends in
// the path's hash.
func manifestCopyName(manifest string) string {
	var name strings.Builder
	for _, b := range []byte(strings.Trim(filepath.Dir(manifest), "/")) {
		switch {
		case b == '/':
			name.WriteByte('_')
		case b == '_' || b == '%' || b < ' ':
			fmt.Fprintf(&name, "%%%02X", b)
		default:
			name.WriteByte(b)
		}
	}
	if name.Len() > maxCopyName {
		return fmt.Sprintf("%s~%x.sha256", name.String()[:maxCopyName-65], durable.Sum([]byte(name.String())))
	}
	return name.String() + ".sha256"
}
