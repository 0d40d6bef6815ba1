#!/bin/sh
# Does the proxy run? {{if eq .Software "evenkeel"}}Here it is evenkeel's own worker.{{else}}HAProxy's processes are looked for.{{end}}
exec ps -C {{if eq .Software "evenkeel"}}evenkeel{{else}}haproxy{{end}} -o pid= >/dev/null
