"""`invoke …` with secrets that are known, so that one can look for them: `python -m`."""

import sys
from pathlib import Path

from hale.install import secrets
from tests.cluster.cluster_fixture import KEY, ROOT, TOKEN

USED = "a known secret is used"


def main() -> None:
    """The operator's command, as typed."""
    from invoke.program import Program

    def planted(secret: str) -> str:
        print(USED, file=sys.stderr)
        return secret

    secrets.new_token = lambda: planted(TOKEN)
    secrets.new_key = lambda: planted(KEY)
    sys.argv[0] = str(Path(sys.executable).parent / "invoke")
    sys.path.insert(0, str(ROOT))
    Program(name="invoke").run(["invoke", *sys.argv[1:]])


if __name__ == "__main__":
    main()
