package eval

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree makes a folder with empty files.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "photos")
	for _, f := range append(files, "empty folder.jpg/.keep") {
		path := filepath.Join(dir, f)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFiles(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  []File // Path below the folder
	}{
		{
			"one set", []string{"mug/1.jpg", "mug/2.JPEG", "bike/1.PNG"},
			[]File{{"photos", "bike", "bike/1.PNG"}, {"photos", "mug", "mug/1.jpg"}, {"photos", "mug", "mug/2.JPEG"}},
		},
		{
			"several sets", []string{"desk/mug/1.jpg", "desk/bike/1.jpg", "lego/brick/1.png"},
			[]File{{"desk", "bike", "desk/bike/1.jpg"}, {"desk", "mug", "desk/mug/1.jpg"}, {"lego", "brick", "lego/brick/1.png"}},
		},
		{
			"passed over", []string{
				"1.jpg", "README.md", "mug/1.jpg", "mug/notes.txt", "mug/jpg", "a/b/c/1.jpg",
				".git/mug/1.jpg", "mug/.thumbnails/1.jpg",
			},
			[]File{{"photos", "mug", "mug/1.jpg"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, c.files...)
			link := filepath.Join(t.TempDir(), "photos")
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			for i := range c.want {
				c.want[i].Path = filepath.Join(dir, c.want[i].Path)
			}
			for _, folder := range []string{dir, dir + "/", link} {
				got, err := Files(folder)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", folder, diff)
				}
			}
		})
	}
}

// TestFilesHiddenFolder shows that only folders below the given one may be
// passed over.
func TestFilesHiddenFolder(t *testing.T) {
	dir := filepath.Join(filepath.Dir(tree(t, "mug/1.jpg")), ".photos")
	if err := os.Rename(filepath.Join(filepath.Dir(dir), "photos"), dir); err != nil {
		t.Fatal(err)
	}
	got, err := Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]File{{".photos", "mug", filepath.Join(dir, "mug", "1.jpg")}}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestFilesRefuses(t *testing.T) {
	dir := tree(t, "1.jpg", "mug/notes.txt")
	missing := filepath.Join(dir, "missing")
	if files, err := Files(missing); files != nil || err == nil || !strings.HasPrefix(err.Error(), missing+": no such folder (give one with") {
		t.Errorf("missing: %v, error %v", files, err)
	}
	for _, folder := range []string{dir, filepath.Join(dir, "mug"), filepath.Join(dir, "1.jpg")} {
		if files, err := Files(folder); files != nil || !errors.Is(err, ErrPictures) || !strings.HasPrefix(err.Error(), folder+": ") ||
			!strings.Contains(err.Error(), "FOLDER/CLASS/PICTURE.jpg") {
			t.Errorf("%s: %v, error %v, want one about the layout", folder, files, err)
		}
	}
}
