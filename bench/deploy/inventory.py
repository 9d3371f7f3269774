"""pyinfra's inventory: the lab's hosts, as the benchmark names them."""

import json
import os

values = json.loads(os.environ["BENCH_VALUES"])
ssh = {
    "ssh_user": "root",
    "ssh_config_file": values["ssh_config"],
    "ssh_known_hosts_file": values["known_hosts"],
    "ssh_key": values["key"],
}
k8s = [(name, {"ssh_hostname": address, **ssh}) for name, address in values["hosts"].items()]
