"""Remedies: they turn a fact into changes or manual steps. Nothing here touches a host."""
