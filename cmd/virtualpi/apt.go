package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// series is the kernel that the machine runs: Debian's package
// linux-image-SERIES-arm64 depends on the newest of it.
const series = "6.12"

// A kernel is one build of Debian's.
type kernel struct {
	release string // what uname says, such as 6.12.117+deb12-arm64
	version string // of the packages, such as 6.12.117-1~deb12u1
}

// abi is the part of the release that the packages for all architectures have
// in their names.
func (k kernel) abi() string { return strings.TrimSuffix(k.release, "-arm64") }

// packages are what is downloaded of a kernel. host is Debian's name of the
// architecture here: the programs that build modules run on it.
func (k kernel) packages(host string) []string {
	return []string{
		"linux-image-" + k.release,
		"linux-headers-" + k.release,
		"linux-headers-" + k.abi() + "-common",
		"linux-kbuild-" + k.abi() + ":" + host,
		"linux-source-" + series + "=" + k.version,
		"v4l2loopback-dkms",
	}
}

// An apt calls apt-get for the machine's architecture: with this host's package
// sources and keys, but with lists and downloads of its own. It needs no
// privileges and installs nothing.
type apt struct {
	dir  string // its own files
	debs string // what it downloads; only packages of one kernel
	env  []string
}

// newApt makes the folders that apt-get needs. host is Debian's name of the
// architecture here.
func newApt(dir, host string) (*apt, error) {
	if strings.ContainsAny(dir, "\"\n") {
		return nil, fmt.Errorf("%s: apt-get cannot work in a folder of that name (move the repository)", dir)
	}
	status, conf := filepath.Join(dir, "status"), filepath.Join(dir, "apt.conf")
	return &apt{dir: dir, debs: dir, env: append(os.Environ(), "APT_CONFIG="+conf, "LC_ALL=C")}, errors.Join(
		os.MkdirAll(filepath.Join(dir, "state/lists/partial"), 0o755),
		os.MkdirAll(filepath.Join(dir, "cache/archives/partial"), 0o755),
		os.WriteFile(status, nil, 0o644), // nothing is installed
		os.WriteFile(conf, []byte(aptConfig(dir, host)), 0o644),
	)
}

// aptConfig is the text of apt.conf. The kernel's build programs are the one
// package for the architecture here.
func aptConfig(dir, host string) string {
	return fmt.Sprintf(`APT::Architecture "arm64";
APT::Architectures { "arm64"; %q; };
APT::Sandbox::User "";
Dir::State "%s/state/";
Dir::State::status "%[2]s/status";
Dir::Cache "%[2]s/cache/";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "3";
`, host, dir)
}

func (a *apt) get(ctx context.Context, name string, args ...string) ([]byte, error) {
	return output(ctx, a.debs, a.env, name, args...)
}

// newest fetches the lists of packages and returns the newest kernel, whose
// packages are downloaded from then on.
func (a *apt) newest(ctx context.Context) (kernel, error) {
	// A source that fails matters only if the kernel is not found.
	_, failed := a.get(ctx, "apt-get", "-qq", "update")
	if ctx.Err() != nil {
		return kernel{}, failed
	}
	meta := "linux-image-" + series + "-arm64"
	text, err := a.get(ctx, "apt-cache", "show", "--no-all-versions", meta)
	if err == nil {
		var k kernel
		if k, err = parseMeta(text); err == nil {
			a.debs = filepath.Join(a.dir, k.release)
			return k, os.MkdirAll(a.debs, 0o755)
		}
	}
	return kernel{}, errors.Join(fmt.Errorf("package %s is not to be had: %w (the package sources of this machine must include Debian 12's security updates; is there a network?)", meta, err), failed)
}

// parseMeta reads the kernel out of the description of the package that depends
// on it.
func parseMeta(text []byte) (kernel, error) {
	m := regexp.MustCompile(`(?m)^Depends:.*\blinux-image-([0-9][0-9A-Za-z.+~-]*-arm64) \(= ([^)]+)\)`).FindSubmatch(text)
	if m == nil {
		return kernel{}, errors.New("it names no kernel")
	}
	return kernel{release: string(m[1]), version: string(m[2])}, nil
}

// A deb is a package to be downloaded.
type deb struct {
	file string
	size int64 // bytes
}

// missing returns which of the packages are not downloaded yet.
func (a *apt) missing(ctx context.Context, packages []string) ([]deb, error) {
	text, err := a.get(ctx, "apt-get", append([]string{"-qq", "--print-uris", "download"}, packages...)...)
	if err != nil {
		return nil, err
	}
	return parseURIs(text)
}

// parseURIs reads lines of: 'address' file size hash.
func parseURIs(text []byte) ([]deb, error) {
	var debs []deb
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || !strings.HasPrefix(f[0], "'") {
			return nil, fmt.Errorf("apt-get --print-uris: cannot read %q", line)
		}
		size, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("apt-get --print-uris: %w", err)
		}
		debs = append(debs, deb{f[1], size})
	}
	return debs, nil
}

// download fetches the packages, each checked by apt-get. What is there is not
// fetched again.
func (a *apt) download(ctx context.Context, packages []string) error {
	_, err := a.get(ctx, "apt-get", append([]string{"-qq", "download"}, packages...)...)
	return err
}

// unpack unpacks the packages whose files the pattern matches.
func (a *apt) unpack(ctx context.Context, pattern, to string) error {
	files, err := filepath.Glob(filepath.Join(a.debs, pattern))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("%d packages %s were downloaded, want one", len(files), pattern)
	}
	if _, err := output(ctx, "", nil, "dpkg-deb", "-x", files[0], to); err != nil {
		if ctx.Err() != nil {
			return err
		}
		// apt-get looks only at the size of what is there.
		return errors.Join(fmt.Errorf("%w\nrun it again: the package will be downloaded anew", err), os.Remove(files[0]))
	}
	return nil
}
