"""Till systems: what a connector can do, and the connectors."""
