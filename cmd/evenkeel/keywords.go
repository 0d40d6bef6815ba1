package main

import (
	"fmt"
	"os"
	"slices"
)

func keywordsCommand(args []string) int {
	markdown := slices.Contains(args, "--markdown") || slices.Contains(args, "-markdown")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--markdown" || a == "-markdown" })
	if len(args) != 1 || keywordPages[args[0]].tables == nil {
		fmt.Fprintln(os.Stderr, "evenkeel keywords: of which dialect? (haproxy, keepalived)")
		return 1
	}
	printKeywords(os.Stdout, args[0], markdown)
	return 0
}
