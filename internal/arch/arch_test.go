package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"teachbox/internal/benchdata"
)

const module = "teachbox/"

// A pkg is one package's files, tests left out.
type pkg struct {
	files   []*ast.File
	imports map[string]bool // of this module, without its name
}

// load parses every package of the module, by its folder.
func load(t *testing.T) map[string]*pkg {
	t.Helper()
	root := benchdata.Root(t)
	all := make(map[string]*pkg)
	files := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "third_party" || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		if all[dir] == nil {
			all[dir] = &pkg{imports: make(map[string]bool)}
		}
		p := all[dir]
		p.files = append(p.files, f)
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if own, ok := strings.CutPrefix(path, module); ok {
				p.imports[own] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 15 {
		t.Fatalf("%d packages found below %s", len(all), root)
	}
	return all
}

// mayImport lists, for the packages that the rest hangs on, all that they may
// import of this module.
func mayImport() map[string][]string {
	device := []string{"device", "device/frame"}
	reading := append([]string{"internal/files"}, device...)
	contracts := append([]string{"inference"}, device...)
	return map[string][]string{
		"device/frame":            {},
		"device":                  {"device/frame"},
		"inference":               {"device/frame"},
		"inference/head":          {},
		"inference/graph":         {},
		"inference/preprocess":    {"inference", "device/frame"},
		"inference/tflite":        {"inference", "device/frame"},
		"device/press":            {"device"},
		"device/light":            {"device"},
		"device/camera":           reading,
		"device/gpio":             {"device"},
		"device/sim":              reading,
		"device/devicetest":       device,
		"config":                  {"device", "inference", "internal/files", "models"},
		"models":                  {"internal/files"},
		"internal/files":          {},
		"internal/supervise":      {},
		"internal/lesson":         {"device", "inference", "inference/head"},
		"internal/box":            append([]string{"inference/head", "device/press", "device/light", "internal/lesson", "internal/supervise"}, contracts...),
		"internal/api":            {"device", "device/light", "internal/box", "internal/lesson", "internal/supervise"},
		"systemd":                 {},
		"internal/virtualpi":      append([]string{"internal/virtualpi/kmod"}, device...),
		"internal/virtualpi/kmod": {},
		"internal/eval":           append([]string{"inference/head", "internal/files"}, contracts...),
	}
}

func TestImports(t *testing.T) {
	all := load(t)
	for dir, may := range mayImport() {
		p := all[dir]
		if p == nil {
			t.Errorf("%s: no such package; the rule is out of date", dir)
			continue
		}
		for i := range p.imports {
			if !slices.Contains(may, i) {
				t.Errorf("%s imports %s (it may import %v)", dir, i, may)
			}
		}
	}
}

// TestConcrete holds that only the program names concrete parts.
func TestConcrete(t *testing.T) {
	concrete := []string{"device/camera", "device/gpio", "device/sim", "inference/tflite", "inference/graph", "inference/preprocess", "internal/web"}
	for dir, p := range load(t) {
		if dir == "cmd/teachbox" {
			continue
		}
		for i := range p.imports {
			if slices.Contains(concrete, i) {
				t.Errorf("%s imports %s, which only cmd/teachbox may wire", dir, i)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	for dir, p := range load(t) {
		docs := 0
		for _, f := range p.files {
			if f.Doc == nil {
				continue
			}
			docs++
			name := f.Name.Name
			want := "Package " + name + " "
			if name == "main" {
				want = "Command " + filepath.Base(dir) + " "
			}
			if !strings.HasPrefix(f.Doc.Text(), want) {
				t.Errorf("%s: its comment does not begin with %q", dir, want)
			}
		}
		if docs != 1 {
			t.Errorf("%s: %d package comments, want one", dir, docs)
		}
	}
}

// TestState holds that no package has an init function or a variable without a
// value of its own: what is declared at package level is an error, a table, an
// embedded file or the assertion that a type implements an interface.
func TestState(t *testing.T) {
	for dir, p := range load(t) {
		for _, f := range p.files {
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Recv == nil && d.Name.Name == "init" {
						t.Errorf("%s: has an init function", dir)
					}
				case *ast.GenDecl:
					if d.Tok == token.VAR {
						for _, s := range d.Specs {
							variables(t, dir, d, s.(*ast.ValueSpec))
						}
					}
				}
			}
		}
	}
}

func variables(t *testing.T, dir string, d *ast.GenDecl, v *ast.ValueSpec) {
	for i, name := range v.Names {
		if name.Name == "_" || embedded(d, v) {
			continue
		}
		if i < len(v.Values) {
			switch x := v.Values[i].(type) {
			case *ast.CompositeLit:
				continue // a table
			case *ast.CallExpr:
				if f, ok := x.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "New" && strings.HasPrefix(strings.ToLower(name.Name), "err") {
					continue
				}
			}
		}
		t.Errorf("%s: variable %s is neither a table, an error nor an embedded file", dir, name.Name)
	}
}

// embedded reports whether a variable is filled by the compiler.
func embedded(d *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{d.Doc, v.Doc} {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if strings.HasPrefix(c.Text, "//go:embed ") {
				return true
			}
		}
	}
	return false
}

// TestRulesHaveTeeth shows that the rules above look at something.
func TestRulesHaveTeeth(t *testing.T) {
	all := load(t)
	if !all["cmd/teachbox"].imports["internal/box"] || !all["internal/box"].imports["device"] {
		t.Errorf("imports were not read: %v", slices.Collect(maps.Keys(all)))
	}
}
