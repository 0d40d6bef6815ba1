// Package screen owns the lab on a terminal while drills run: who has the
// address at this moment and in the last seconds, what the probe sees, the
// processes of each node, and how the drills went. It reads what the lab
// tells and decides nothing.
package screen
