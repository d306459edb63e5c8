// Package devicetest holds what tests of devices share: conformance suites that
// every camera and every panel must pass, and fakes for those who use one. The
// suites run in real time, since real devices do.
package devicetest
