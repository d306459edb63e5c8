package sim

import "teachbox/device"

// An Action is what a key asks for.
type Action uint8

// The actions.
const (
	TapButton  Action = iota // push Key.Button briefly
	HoldButton               // push Key.Button down, or let it up if it is down
	NextThing
	PreviousThing
	NextClass
	EmptyDesk
	Quit
)

// A Key is what a person asked for on the keyboard.
type Key struct {
	Action Action
	Button device.Button // of TapButton and HoldButton
}

// Keys turns what a terminal in raw mode sends into keys. A terminal does not
// tell when a key goes up, so holding a button takes one key to push it and
// one to let it up: the digit with shift on a US keyboard, or h and the digit
// on any other. The zero value is ready.
type Keys struct {
	state keyState
}

type keyState uint8

const (
	plain   keyState = iota
	holding          // after h
	escape           // after ESC
	control          // within ESC [ …
)

// Parse reads the bytes of one read and returns the keys in them. It ignores
// what it does not know, escape sequences as a whole.
func (k *Keys) Parse(input []byte) []Key {
	var keys []Key
	for _, c := range input {
		was := k.state
		k.state = plain
		switch {
		case c == 0x03: // Ctrl-C, in any state
			keys = append(keys, Key{Action: Quit})
		case c == 0x1b:
			k.state = escape
		case was == escape && (c == '[' || c == 'O'):
			k.state = control
		case was == escape: // a key with Alt
		case was == control:
			if c < '@' { // parameters go on; the first letter or ~ ends the sequence
				k.state = control
			}
		case was == holding && c >= '0' && c <= '8':
			keys = append(keys, Key{HoldButton, digit(c)})
		case c == 'h':
			k.state = holding
		default:
			if key, ok := plainKey(c); ok {
				keys = append(keys, key)
			}
		}
	}
	if k.state == escape { // nothing followed it: the Escape key itself
		k.state = plain
	}
	return keys
}

func plainKey(c byte) (Key, bool) {
	switch c {
	case '0', '1', '2', '3', '4', '5', '6', '7', '8':
		return Key{TapButton, digit(c)}, true
	case ' ', 'n':
		return Key{Action: NextThing}, true
	case 'p':
		return Key{Action: PreviousThing}, true
	case 'c':
		return Key{Action: NextClass}, true
	case 'e':
		return Key{Action: EmptyDesk}, true
	case 'q':
		return Key{Action: Quit}, true
	}
	for i, shifted := range []byte(")!@#$%^&*") {
		if c == shifted {
			return Key{HoldButton, digit('0' + byte(i))}, true
		}
	}
	return Key{}, false
}

// digit is the button of a digit: 0 is nothing.
func digit(c byte) device.Button {
	if c == '0' {
		return device.Nothing
	}
	return device.Button(c - '1')
}
