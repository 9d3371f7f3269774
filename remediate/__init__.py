"""Remedies: from a fact to changes, or to a page of manual steps. Nothing here touches a host."""
