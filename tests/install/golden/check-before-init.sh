#!/bin/sh
# written by Hale: may this master hold the VIP?
# There is no cluster yet whose CA could vouch for an answer: an open port has to do.
may() {
  curl -q -s -o /dev/null --noproxy '*' --max-time 1 http://127.0.0.1:16443/
  [ $? != 7 ]
}
# One answer that is lost does not move the VIP; asked again at once, not at the next interval.
may || { sleep 0.2; may; }
