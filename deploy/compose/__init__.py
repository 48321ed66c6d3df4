"""Drives docker-compose.yml: ``python -m deploy.compose up|down|env|test``."""
