# Packages that are installed from here on start no service: in a layer's build it would run on the
# machine (invoke-rc.d(8)).
set -eu
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
