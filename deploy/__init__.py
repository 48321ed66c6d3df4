"""How Examflow is run: the gateway, the broker's topology, the PACS and the system without Docker."""
