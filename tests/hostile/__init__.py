"""Attackers, and what must happen: hosts' users, hosts that lie, crafted files."""
