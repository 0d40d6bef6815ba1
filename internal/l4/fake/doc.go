// Package fake has a data plane that forwards nothing and writes down what it
// was told: one line for each thing that a real plane would have done. Tests
// compare the lines with golden text, and set what Stats shall say.
package fake
