package xdp

// The objects are committed: users need no clang. They are the same byte for
// byte wherever clang 14 makes them, which TestObjectsAreWhatTheSourcesSay
// holds them to.
//
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -go-package xdp -target bpfel -no-global-types -type key4 -type key6 -type flow4 -type flow6 -type service_key -type range_key -type service -type service_state -type cached_key -type cached -type block -type dest -type dest_state -type counters -type hop -type learned_hop -type ledger -type configuration -type command -type fast4 -type fast_set -type telling -type ring4 -type ring6 -type sweeper -cflags "-O2 -g -mcpu=v3 -Wall -Wno-unused-function -I/usr/include/x86_64-linux-gnu" director bpf/director_tc.c
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -go-package xdp -target bpfel -no-global-types -type inner_key -type decap_counters -cflags "-O2 -g -mcpu=v3 -Wall -Wno-unused-function -I/usr/include/x86_64-linux-gnu" decap bpf/decap.c
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -go-package xdp -target bpfel -no-global-types -type port -cflags "-O2 -g -mcpu=v3 -Wall -Wno-unused-function -I/usr/include/x86_64-linux-gnu" driver bpf/director_xdp.c
