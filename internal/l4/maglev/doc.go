// Package maglev makes the lookup tables of Maglev's consistent hashing
// (Eisenbud and others, NSDI 2016): each member gets its share of the places,
// by weight, and most places keep their member when others come and go.
//
// Hash function, keys, sizes and the way weights count are those of IPVS's mh
// scheduler, so that both agree. Members are put in order first: every
// director makes the same table of the same members. The package is pure.
package maglev
