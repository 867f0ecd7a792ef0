#!/bin/sh
# Sets a clone up for a purpose, then becomes the command: sh tools/with-set-up.sh PURPOSE COMMAND...
# --help only tells of it, and installs nothing. Plain sh: it runs before there is anything else.
purpose=$1
shift
for argument in "$@"; do
  case $argument in
    --help | -h) exec cat "tools/$purpose/help.txt" ;;
  esac
done
node tools/setup.mjs "$purpose" || exit
# By env: this shell remembers where it found a Node, and the set-up may have installed the one to use.
exec env "$@"
