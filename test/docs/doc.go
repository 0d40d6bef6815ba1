// Package docs holds the documents to the tree: pages that are made from
// tables are up to date, links lead somewhere, and the map of the house names
// every room.
package docs
