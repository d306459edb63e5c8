// Package sim is a whole virtual box for those who have no hardware, and for
// tests: a desk that can be shown things, a camera that looks at it, buttons,
// LEDs, a little language that plays a lesson, and a terminal to play it by hand.
//
// All of it keeps time with timers and channels only, so it also runs inside a
// testing/synctest bubble, provided it is made there.
package sim
