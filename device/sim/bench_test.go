package sim

import "testing"

func BenchmarkDraw(b *testing.B) {
	d, err := NewDesk(DeskOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s := d.scene.Load()
	for name, j := range map[string]Jitter{"still": {}, "held": HandHeld()} {
		b.Run(name, func(b *testing.B) {
			shaker := newShaker(1, j, s.width, s.height)
			pix := make([]byte, 2*s.width*s.height)
			b.ReportAllocs()
			var seq uint64
			for b.Loop() {
				seq++
				shaker.draw(pix, s, seq)
			}
		})
	}
}

func BenchmarkShow(b *testing.B) {
	d, err := NewDesk(DeskOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := d.NextClass(); err != nil {
			b.Fatal(err)
		}
	}
}
