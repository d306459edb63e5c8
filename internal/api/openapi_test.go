package api

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"teachbox/internal/lesson"
)

func TestDescriptionIsValid(t *testing.T) {
	if err := readDocument(t).Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What is described is what there is.
func TestRoutesAreDescribed(t *testing.T) {
	var described, there []string
	for path, item := range readDocument(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for _, r := range newServer(t, nil).routes() {
		there = append(there, r.method+" "+r.path)
	}
	slices.Sort(described)
	slices.Sort(there)
	if d := cmp.Diff(there, described); d != "" {
		t.Errorf("routes (-there +described):\n%s", d)
	}
}

// Every operation answers, as it is described, over a connection.
func TestOperationsAnswer(t *testing.T) {
	b := newBox(t)
	b.teach(0, 2)
	b.teach(1, 1)
	s := newServer(t, b)
	c := remote(t, s)
	for _, r := range s.routes() {
		path, body, kind := r.path, "", ""
		if r.method != http.MethodGet {
			body, kind = `{}`, jsonType
		}
		switch r.path {
		case "/snapshots":
			continue // it has no end; TestSnapshots reads it
		case "/commands/{name}":
			path = "/commands/lock"
		}
		status, answer, header := ask(t, c, r.method, prefix+path, kind, body)
		want := http.StatusOK
		if r.method == http.MethodPut {
			want = http.StatusPreconditionRequired
		}
		if status != want || len(answer) == 0 && r.path != "/events" {
			t.Errorf("%s %s: %d with %d bytes, want %d", r.method, path, status, len(answer), want)
		}
		if got := header.Get(runHeader); got != s.opt.Identity.Run {
			t.Errorf("%s %s: of run %q, want %q", r.method, path, got, s.opt.Identity.Run)
		}
	}
}

// Every command that there is is described, and no other.
func TestCommandsAreDescribed(t *testing.T) {
	doc := readDocument(t)
	op := doc.Paths.Value("/commands/{name}").Post
	for _, v := range op.Parameters.GetByInAndName("path", "name").Schema.Value.Enum {
		name := v.(string)
		_, table, ok := strings.Cut(op.Description, "| "+name+" |")
		if !ok {
			t.Errorf("%s is not in the table", name)
			continue
		}
		row, _, _ := strings.Cut(table, "\n")
		cells := strings.Split(row, "|")
		schema := doc.Components.Schemas[strings.TrimSpace(cells[len(cells)-2])]
		if schema == nil {
			t.Errorf("%s: the table names no body: %s", name, row)
			continue
		}
		body := any(orderOf(name))
		if body == nil {
			if !slices.Contains([]string{"lock", "unlock", "acknowledge", "reload"}, name) {
				t.Errorf("%s: there is no such command", name)
			}
			body = &struct{}{}
		}
		if d := cmp.Diff(fields(reflect.TypeOf(body).Elem()), described(schema.Value)); d != "" {
			t.Errorf("%s: body (-there +described):\n%s", name, d)
		}
	}
}

// The types have the fields that are described, and those that are always there
// are described so.
func TestTypesAreDescribed(t *testing.T) {
	schemas := readDocument(t).Components.Schemas
	for _, v := range []any{
		Identity{}, Snapshot{}, Winner{}, Fitness{}, Amount{}, Problem{}, Contents{}, Class{}, InHand{}, Press{},
		Step{}, Moment{}, Kept{}, Check{}, Done{}, Event{}, Error{},
	} {
		kind := reflect.TypeOf(v)
		schema := schemas[kind.Name()]
		if schema == nil {
			t.Errorf("%v is not described", kind)
			continue
		}
		if d := cmp.Diff(fields(kind), described(schema.Value)); d != "" {
			t.Errorf("%v (-there +described):\n%s", kind, d)
		}
	}
}

// Every error of the lesson has a code, and every code is described beside its
// status.
func TestErrorsHaveCodes(t *testing.T) {
	have := make(map[string]bool)
	inspect(t, "errors.go", func(n ast.Node) {
		if s, ok := n.(*ast.SelectorExpr); ok && fmt.Sprint(s.X) == "lesson" {
			have[s.Sel.Name] = true
		}
	})
	count := 0
	inspect(t, "../lesson/*.go", func(n ast.Node) {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return
		}
		for _, name := range v.Names {
			if strings.HasPrefix(name.Name, "Err") {
				count++
				if !have[name.Name] {
					t.Errorf("lesson.%s has no code", name.Name)
				}
			}
		}
	})
	if count < 20 {
		t.Fatalf("only %d errors found", count)
	}

	table := readDocument(t).Components.Responses["Error"].Value
	rows := make(map[int]string)
	for row := range strings.Lines(*table.Description) {
		var status int
		if _, err := fmt.Sscanf(row, "| %d |", &status); err == nil {
			rows[status] = row
		}
	}
	seen := make(map[string]bool)
	for _, k := range known() {
		if seen[k.code] {
			t.Errorf("%s stands for two errors", k.code)
		}
		seen[k.code] = true
		if !hasWord(rows[k.status], k.code) {
			t.Errorf("%d %s is not described", k.status, k.code)
		}
		e := errorOf(fmt.Errorf("doing something: %w: do this", k.err))
		if e.Code != k.code || e.Status != k.status || !errors.Is(e, k.err) {
			t.Errorf("%v: became %d %s", k.err, e.Status, e.Code)
		}
	}
	if e := errorOf(errors.New("surprise")); e.Code != CodeInternal || e.Status != http.StatusInternalServerError || errors.Is(e, lesson.ErrConflict) {
		t.Errorf("an unknown error became %+v", e)
	}
	for code, status := range map[string]int{
		CodeBadInput: 400, CodeNotFound: 404, CodeMethod: 405, CodeTooLarge: 413, CodeContentType: 415, CodeConfirm: 422,
		CodeConfiguration: 422, CodeRevision: 428, CodeTooMany: 429, CodeInternal: 500, CodeBusy: 503, CodeNoFile: 503,
	} {
		if !hasWord(rows[status], code) {
			t.Errorf("%d %s is not described", status, code)
		}
	}
}

// hasWord reports whether a text has a word, which may have hyphens.
func hasWord(text, word string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') }), word)
}

// inspect shows every node of some files.
func inspect(t *testing.T, pattern string, see func(ast.Node)) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			see(n)
			return true
		})
	}
}

// fields are the names that a type has in JSON, and whether they are always
// there.
func fields(kind reflect.Type) map[string]bool {
	found := make(map[string]bool)
	for _, f := range reflect.VisibleFields(kind) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" {
			continue
		}
		found[name] = options == ""
	}
	return found
}

// described are those of a schema.
func described(s *openapi3.Schema) map[string]bool {
	found := make(map[string]bool)
	for name := range s.Properties {
		found[name] = slices.Contains(s.Required, name)
	}
	return found
}
