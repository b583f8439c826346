"""How good the answers are: the stream's own estimators, one pass over a file."""
