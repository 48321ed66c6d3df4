"""The whole system without Docker: private processes below one directory, watched over by supervisord."""
