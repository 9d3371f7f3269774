"""How a host is made as the standard says: changes from facts. Nothing here touches a host."""
