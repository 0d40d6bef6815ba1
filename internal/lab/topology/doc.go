// Package topology owns the language of a lab's topology file: which nodes a
// cluster has, on which networks, which addresses move between them, and
// which configuration files the directors get. It reads text and renders
// templates; it makes nothing and touches no host.
package topology
