"""The door to pytest: the audit is hale/plugin.py, what it judges is in standard/ and checks/."""

pytest_plugins = ["hale.plugin"]
