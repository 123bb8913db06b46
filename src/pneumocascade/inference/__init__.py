"""The only path through the models: films are prepared, judged by both stages, and answered."""
