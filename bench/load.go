package main

const loadCommand = "load"

func loadMain(args []string) int { return 2 }
