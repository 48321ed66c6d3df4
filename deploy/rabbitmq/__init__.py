"""The broker's topology, and the script that puts the passwords' hashes into it."""
