"""The door to pytest: hale/pytest_plugin/ runs the audit of standard/ by checks/."""

pytest_plugins = ["hale.pytest_plugin.plugin"]
