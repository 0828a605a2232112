"""What a MeterSphere server asks of a node-controller: start a container, stop it, tell of it."""
