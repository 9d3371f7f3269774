# After the prelude: what a sampler's loop begins with. `now` sets $now to the hundredths of a second
# since the host booted, without a fork.
set -f
now() { read -r up _ </proc/uptime; now=${up#*.}; now=$((${up%.*} * 100 + 1$now - 100)); }
