#!/bin/sh
# Builds a release into dist/: static binaries for linux amd64 and arm64, each
# packed with the manual, the completions, the documents and all licences, and
# SHA256SUMS. It builds the commit that is checked out, from a clone of its own:
# what is not committed is not in it, and the same commit gives the same bytes.
#
# usage: sh scripts/release.sh [VERSION]     VERSION as 0.1.0; without it, the tag
#                                            of the commit, or the one in the code
#        CHECK=1 sh scripts/release.sh       builds everything twice and compares
set -eu
umask 022
cd "$(dirname "$0")/.."
top=$PWD
out=$top/dist
commit=$(git rev-parse HEAD)
version=${1:-$(git describe --tags --exact-match 2> /dev/null | sed 's/^v//' || true)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tool in readelf sha256sum gzip tar; do
	command -v $tool > /dev/null || { echo "release: $tool is missing" >&2; exit 1; }
done
[ -z "$(git status --porcelain)" ] || echo "release: what is not committed is not in it" >&2

# One build of everything, into the directory $1.
release() {
	src=$1/damocles-manager
	git clone --quiet --no-local "$top" "$src" # a clone has .git in it, where the Go tool looks for the commit
	git -C "$src" checkout --quiet --detach "$commit"
	mtime=$(git -C "$src" log -1 --format=%ct)
	mkdir "$1/dist"
	for arch in amd64 arm64; do
		name=damocles-manager_${version:-dev}_linux_$arch
		dir=$1/$name
		mkdir "$dir"
		(cd "$src" && CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOAMD64=v1 GOARM64=v8.0 GOFLAGS='-mod=readonly' go build -trimpath -buildvcs=true \
			-ldflags "-s -w ${version:+-X damocles-manager/internal/cli.release=$version}" \
			-o "$dir/damocles-manager" ./cmd/damocles-manager)
		static "$dir/damocles-manager"
		(cd "$src" && cp README.md CHANGELOG.md SECURITY.md LICENSE LICENSE-APACHE LICENSE-MIT NOTICE THIRD_PARTY.md "$dir/" &&
			cp -R man completions docs "$dir/" && go run ./internal/manual -top . -licences > "$dir/THIRD_PARTY_LICENSES")
		tar --sort=name --format=gnu --mtime="@$mtime" --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r,go-w \
			-C "$1" -cf - "$name" | gzip -n -9 > "$1/dist/$name.tar.gz"
	done
	(cd "$1/dist" && sha256sum ./*.tar.gz | sed 's| \./| |' > SHA256SUMS)
}

# A static binary asks for no interpreter and no library.
static() {
	if LC_ALL=C readelf -lWd "$1" | grep -E 'INTERP|NEEDED'; then
		echo "release: $1 is not static" >&2
		exit 1
	fi
}

mkdir "$work/1"
release "$work/1"
if [ "${CHECK:-}" = 1 ]; then
	mkdir "$work/2"
	# under another path, and with nothing left of the first
	GOCACHE=$work/2/cache release "$work/2"
	cmp "$work/1/dist/SHA256SUMS" "$work/2/dist/SHA256SUMS" || { echo "release: two builds differ" >&2; exit 1; }
	echo "release: two builds are the same, byte for byte"
fi
if [ "$(uname -sm)" = "Linux x86_64" ]; then # the one that runs here
	mkdir "$work/try"
	tar -C "$work/try" -xzf "$work"/1/dist/*_linux_amd64.tar.gz
	"$work"/try/*/damocles-manager --version
	"$work"/try/*/damocles-manager --version | grep -q "+git.$(printf %.12s "$commit")\$" || { echo "release: it does not name its commit" >&2; exit 1; }
	"$work"/try/*/damocles-manager util sealer sectors import --help > /dev/null
fi
rm -rf "$out"
mv "$work/1/dist" "$out"
(cd "$out" && sha256sum -c SHA256SUMS)
