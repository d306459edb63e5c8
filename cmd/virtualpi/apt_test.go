package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAptConfig(t *testing.T) {
	got := aptConfig("/home/a child/box", "amd64")
	want := `APT::Architecture "arm64";
APT::Architectures { "arm64"; "amd64"; };
APT::Sandbox::User "";
Dir::State "/home/a child/box/state/";
Dir::State::status "/home/a child/box/status";
Dir::Cache "/home/a child/box/cache/";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "3";
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := newApt(`/home/"box"`, "amd64"); err == nil {
		t.Error("a folder with quotes in its name was taken, which apt.conf cannot express")
	}
}

func TestParseMeta(t *testing.T) {
	const text = `Package: linux-image-6.12-arm64
Version: 6.12.117-1~deb12u1
Provides: linux-latest-modules-6.12.117+deb12-arm64, wireguard-modules (= 1.0.0)
Depends: linux-image-6.12.117+deb12-arm64 (= 6.12.117-1~deb12u1)
Description: Linux for 64-bit ARMv8 machines (meta-package)
`
	k, err := parseMeta([]byte(text))
	if want := (kernel{"6.12.117+deb12-arm64", "6.12.117-1~deb12u1"}); err != nil || k != want {
		t.Errorf("got %+v, %v; want %+v", k, err, want)
	}
	want := []string{
		"linux-image-6.12.117+deb12-arm64",
		"linux-headers-6.12.117+deb12-arm64",
		"linux-headers-6.12.117+deb12-common",
		"linux-kbuild-6.12.117+deb12:amd64",
		"linux-source-6.12=6.12.117-1~deb12u1",
		"v4l2loopback-dkms",
	}
	if diff := cmp.Diff(want, k.packages("amd64")); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "Depends: linux-image-6.12\n", "Depends: linux-image-../x-arm64 (= 1)\n", "Depends: linux-image-6/12-arm64 (= 1)\n"} {
		if k, err := parseMeta([]byte(text)); err == nil {
			t.Errorf("%q: got %+v, want an error", text, k)
		}
	}
}

func TestParseURIs(t *testing.T) {
	const text = `'http://mirror.example/a_1.2_arm64.deb' a_1.2_arm64.deb 93045540 SHA256:ab
'http://mirror.example/b_1%3a2_all.deb' b_1%3a2_all.deb 17 SHA256:cd
`
	got, err := parseURIs([]byte(text))
	want := []deb{{"a_1.2_arm64.deb", 93045540}, {"b_1%3a2_all.deb", 17}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(deb{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := parseURIs(nil); err != nil || len(got) > 0 {
		t.Errorf("nothing to download: got %v, %v", got, err)
	}
	for _, text := range []string{"E: no\n", "'x' y\n", "'x' y many\n", "x y 1\n"} {
		if got, err := parseURIs([]byte(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

// FuzzOutput feeds what other programs print to its readers.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("Depends: linux-image-6.12.1+deb12-arm64 (= 6.12.1-1)"))
	f.Add([]byte("'http://mirror.example/a.deb' a.deb 1 SHA256:0"))
	f.Add([]byte("builtin crc16\ninsmod /lib/a.ko.xz \ninsmod /b.ko"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if k, err := parseMeta(text); err == nil && (k.release == "" || k.version == "") {
			t.Errorf("half a kernel: %+v", k)
		}
		if debs, err := parseURIs(text); err == nil {
			for _, d := range debs {
				if d.file == "" {
					t.Error("a package without a name")
				}
			}
		}
		parseDepends(text)
	})
}
