"""Many films: which files are meant, what becomes of the answers, and how an interrupted run goes on."""
