package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

const (
	maxSettings = 1000 // a configuration has about a hundred at most
	maxDepth    = 8    // parts of a name; the deepest key has four
)

// The names that make a panel of one's own.
const (
	slotsKey   = "panel.slots"
	nothingKey = "panel.nothing"
	statusKey  = "panel.status"
	pinKey     = ".pin"
	lineKey    = ".line"
)

// controlsKey is the one table whose keys are the camera's, not ours.
const controlsKey = "camera.controls"

// A file is a configuration file while it is read. go-toml's decoder stops at
// the first value of a wrong type and forgets where the good ones stood.
// People want to be told everything at once, so the file is read with the
// decoder's parser, and the decoder only confirms.
type file struct {
	settings []setting
	lines    map[string]int  // the line where a name was first mentioned
	slots    int             // how many slots the file lists
	void     map[string]bool // names with a value of a wrong type
	problems []problem
}

// A setting is one thing that a file says: a value, or that there is a table.
type setting struct {
	name string // as key.name
	line int
	kind unstable.Kind
	text string // a scalar as written; a string without its quotes
}

// got names what the file says, for people.
func (s setting) got() string {
	switch s.kind {
	case unstable.String:
		return quote(s.text)
	case unstable.Array:
		return "a list"
	case unstable.ArrayTable:
		return "[[" + s.name + "]]"
	case unstable.Table, unstable.InlineTable:
		return "a table"
	}
	return cut(s.text)
}

// scan collects the settings of data, up to the first error of syntax.
func (f *file) scan(data []byte) {
	f.lines = make(map[string]int)
	var p unstable.Parser
	p.Reset(data)
	line, counted := 1, 0
	lineAt := func(r unstable.Range) int { // ranges come in the order of the file
		at := int(r.Offset)
		line += bytes.Count(data[counted:at], []byte("\n"))
		counted = at
		return line
	}
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.KeyValue {
			f.keyValue(table, e, lineAt)
		} else {
			var at unstable.Range
			table, at = f.name("", e)
			if table == slotsKey && e.Kind == unstable.ArrayTable {
				f.slots++
				table = slotName(f.slots)
			}
			f.add(setting{table, lineAt(at), e.Kind, ""})
		}
		if len(f.settings) == maxSettings {
			f.problems = append(f.problems, problem{line: line, text: fmt.Sprintf("too many settings (want fewer than %d; is this a configuration?)", maxSettings)})
			return
		}
	}
	var bad *unstable.ParserError
	if errors.As(p.Error(), &bad) {
		f.syntax(data, int(p.Range(bad.Highlight).Offset), bad.Message)
	}
}

// keyValue collects the settings of "key = value" inside a table.
func (f *file) keyValue(table string, kv *unstable.Node, lineAt func(unstable.Range) int) {
	name, at := f.name(table, kv)
	f.value(name, lineAt(at), kv.Value(), lineAt)
}

func (f *file) value(name string, line int, v *unstable.Node, lineAt func(unstable.Range) int) {
	f.add(setting{name, line, v.Kind, string(v.Data)})
	switch {
	case v.Kind == unstable.InlineTable && strings.Count(name, ".") < maxDepth:
		for it := v.Children(); it.Next(); {
			f.keyValue(name, it.Node(), lineAt)
		}
	case v.Kind == unstable.Array && name == slotsKey:
		for it := v.Children(); it.Next() && len(f.settings) < maxSettings; {
			f.slots++
			slot := it.Node()
			if slot.Kind == unstable.InlineTable {
				line = lineAt(slot.Raw)
			}
			f.value(slotName(f.slots), line, slot, lineAt)
		}
	}
}

// name returns the whole name of a node's key inside a table, and where the key
// stands. Keys inside "panel.slots" belong to the last slot begun.
func (f *file) name(table string, n *unstable.Node) (name string, at unstable.Range) {
	name = table
	k := n.Key()
	for parts := 0; k.Next() && parts < maxDepth; parts++ {
		if parts == 0 {
			at = k.Node().Raw
		}
		if name == slotsKey && f.slots > 0 {
			name = slotName(f.slots)
		}
		if name != "" {
			name += "."
		}
		name += bare(k.Node().Data)
	}
	return name, at
}

// bare returns a part of a key as a file would write it, cut if it is long.
func bare(part []byte) string {
	special := func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if s := cut(string(part)); s != "" && strings.IndexFunc(s, special) < 0 {
		return s
	}
	return quote(string(part))
}

// parent returns the name of the table or list that name is in, or "".
func parent(name string) string { return name[:max(0, strings.LastIndexAny(name, ".#"))] }

// add notes a setting, and the line of everything that it mentions.
func (f *file) add(s setting) {
	if len(f.settings) == maxSettings {
		return
	}
	f.settings = append(f.settings, s)
	for name := s.name; name != ""; name = parent(name) {
		if _, ok := f.lines[name]; !ok {
			f.lines[name] = s.line
		}
	}
}

// syntax notes an error of syntax.
func (f *file) syntax(data []byte, offset int, message string) {
	start := bytes.LastIndexByte(data[:offset], '\n') + 1
	text, _, _ := bytes.Cut(data[start:], []byte("\n"))
	text = bytes.Map(func(r rune) rune { // no control characters in a message
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	f.problems = append(f.problems, problem{
		line:   bytes.Count(data[:start], []byte("\n")) + 1,
		column: utf8.RuneCount(data[start:offset]) + 1,
		text:   fmt.Sprintf("not TOML: %s (got %s; want key = value, with text in quotes)", message, cut(string(bytes.TrimSpace(text)))),
	})
}

// config returns the configuration that the settings make of base, as far as
// they can be understood. It notes what is unknown, of a wrong type or said
// twice.
func (f *file) config(base *Config) *Config {
	c := new(Config)
	*c = *base
	c.Camera.Controls = maps.Clone(base.Camera.Controls)
	// Every pin that the file might name needs a place.
	c.Panel.Nothing, c.Panel.Status = new(newButton()), new(newLED())
	c.Panel.Slots = make([]Slot, max(1, f.slots))
	for i := range c.Panel.Slots {
		c.Panel.Slots[i] = Slot{newButton(), newLED()}
	}
	for _, s := range f.settings {
		if name, ok := strings.CutPrefix(s.name, controlsKey+"."); ok && isControl(name) && len(c.Camera.Controls) <= maxControls {
			c.Camera.Controls[name] = 0
		}
	}
	f.assign(c.keys())

	if !f.says(slotsKey) && !f.says(nothingKey) && !f.says(statusKey) {
		said := c.Panel
		if c.Panel = base.Panel.clone(); f.says("panel.preset") {
			c.Panel = preset(said.Preset)
		}
		c.Panel.Source = said.Source
		return c
	}
	c.Panel.Slots = c.Panel.Slots[:f.slots]
	for i := range c.Panel.Slots {
		f.complete(&c.Panel.Slots[i].Button, slotName(i+1)+".button")
	}
	f.complete(c.Panel.Nothing, nothingKey)
	if !f.says(nothingKey) {
		c.Panel.Nothing = nil
	}
	if !f.says(statusKey) {
		c.Panel.Status = nil
	}
	return c
}

func newButton() Button { return Button{Line: Line{Pin: NoPin}, Pull: PullUp} }
func newLED() LED       { return LED{Line: Line{Pin: NoPin}, Active: ActiveHigh} }

// complete fills in the level of a pressed button where the pull tells it.
func (f *file) complete(b *Button, name string) {
	if f.says(name + ".active") {
		return
	}
	switch b.Pull {
	case PullNone: // only the person knows
	case PullDown:
		b.Active = ActiveHigh
	default:
		b.Active = ActiveLow
	}
}

func (f *file) says(name string) bool { return f.lines[name] > 0 }

// assign puts the values of the settings into keys.
func (f *file) assign(keys []key) {
	known := map[string]*key{controlsKey: nil} // nil for a table
	names := []string{controlsKey}             // of keys and tables, for suggestions
	for i := range keys {
		for name, k := keys[i].name, &keys[i]; name != ""; name, k = parent(name), nil {
			if _, ok := known[name]; !ok {
				known[name] = k
				names = append(names, name)
			}
		}
	}
	first := make(map[string]int) // the line where a setting was first said
	closed := ""                  // what is inside is not worth another word
	f.void = make(map[string]bool)
	for _, s := range f.settings {
		if closed != "" && strings.HasPrefix(s.name, closed+".") {
			continue
		}
		k, ok := known[s.name]
		var text string // what is wrong
		switch {
		case !ok:
			want := "one that the documentation lists"
			if strings.HasPrefix(s.name, controlsKey+".") {
				want = "a name in small letters, as `teachbox hardware` lists them"
			}
			if len(f.problems) < maxProblems { // of the others nobody is told
				if n := nearest(s.name, names); n != "" {
					want = "perhaps " + n
				}
			}
			text = fmt.Sprintf("unknown key (got %s; want %s)", s.name, want)
			closed = s.name
		case first[s.name] > 0:
			text = fmt.Sprintf("said twice (got it in line %d already; want it once)", first[s.name])
		case k == nil:
			if want, ok := s.fitsTable(); !ok {
				text = fmt.Sprintf("wrong type (got %s; want %s)", s.got(), want)
				closed, f.void[s.name] = s.name, true
			}
		default:
			if fault := k.set(s); fault != "" {
				text = k.wrong(fault, s.got()).text
				closed, f.void[s.name] = s.name, true
			}
		}
		if first[s.name] == 0 {
			first[s.name] = s.line
		}
		if text != "" {
			f.problems = append(f.problems, problem{line: s.line, key: s.name, text: text})
		}
	}
}

// fitsTable reports whether the setting may stand for the table or list of its
// name, and what may.
func (s setting) fitsTable() (want string, ok bool) {
	list, inSlots := strings.CutPrefix(s.name, slotsKey)
	switch {
	case inSlots && list == "":
		return "[[" + slotsKey + "]]", s.kind == unstable.Array
	case inSlots && !strings.Contains(list, "."):
		return "{ button = …, led = … }", s.kind == unstable.ArrayTable || s.kind == unstable.InlineTable
	case inSlots, s.name == nothingKey, s.name == statusKey:
		return "{ pin = … }", s.kind == unstable.Table || s.kind == unstable.InlineTable
	}
	return "[" + s.name + "]", s.kind == unstable.Table || s.kind == unstable.InlineTable
}

// set puts the value of a setting into the key. It returns what is wrong, or "".
func (k *key) set(s setting) string {
	switch v := k.value.(type) {
	case *string:
		if s.kind == unstable.String {
			*v = s.text
			return ""
		}
	case *bool:
		if s.kind == unstable.Bool {
			*v = s.text == "true"
			return ""
		}
	case *int:
		if s.kind == unstable.Integer {
			n, err := strconv.ParseInt(s.text, 0, strconv.IntSize)
			if err != nil {
				return "out of range"
			}
			*v = int(n)
			return ""
		}
	case control:
		if s.kind == unstable.Integer {
			n, err := strconv.ParseInt(s.text, 0, 32)
			if err != nil {
				return "out of range"
			}
			v.of[v.name] = int(n)
			return ""
		}
	case *float64:
		if s.kind == unstable.Integer || s.kind == unstable.Float {
			n, err := strconv.ParseFloat(strings.ReplaceAll(s.text, "_", ""), 64)
			if err != nil {
				return "out of range"
			}
			*v = n
			return ""
		}
	case *Duration:
		if s.kind == unstable.String {
			if v.UnmarshalText([]byte(s.text)) != nil {
				return "not a length of time"
			}
			return ""
		}
	}
	return "wrong type"
}

// confirm has the decoder read the file too: it knows rules of TOML that scan
// does not keep, such as no zero before a number.
func (f *file) confirm(data []byte) {
	var c Config
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&c)
	var bad *toml.DecodeError
	switch {
	case err == nil:
	case errors.As(err, &bad):
		line, column := bad.Position()
		offset := 0
		for range line - 1 {
			offset += bytes.IndexByte(data[offset:], '\n') + 1
		}
		f.syntax(data, offset+column-1, strings.TrimPrefix(bad.Error(), "toml: "))
	default:
		f.problems = append(f.problems, problem{text: "not TOML: " + err.Error()})
	}
}

// judge notes what is wrong with the values of c, with the lines where they
// stand or, for what is missing, where it should. It is silent on values that
// are not what the file says.
func (f *file) judge(c *Config) {
	for _, p := range c.check() {
		void := false
		for name := p.key; name != ""; name = parent(name) {
			void = void || f.void[name]
			if p.line == 0 {
				p.line = f.lines[name]
			}
		}
		if !void {
			f.problems = append(f.problems, p)
		}
	}
}
