package main

import (
	"fmt"
	"os"
	"slices"
)

func keywordsCommand(args []string) int {
	markdown := slices.Contains(args, "--markdown") || slices.Contains(args, "-markdown")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--markdown" || a == "-markdown" })
	if len(args) != 1 || args[0] != "haproxy" {
		fmt.Fprintln(os.Stderr, "evenkeel keywords: of which dialect? (haproxy)")
		return 1
	}
	printKeywords(os.Stdout, markdown)
	return 0
}
