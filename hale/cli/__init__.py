"""The commands of invoke: options, tables, and the doors to the rooms below."""
