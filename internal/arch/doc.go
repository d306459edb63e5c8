// Package arch holds the tests that keep the house to its rules: who may import
// whom, one comment for each package, and no state at package level.
package arch
