"""What only an installation observes: packages, images, nodes, leftovers."""
