"""What is done with a stack on AWS from a terminal: it is deployed, given fal's key and tokens, watched, removed."""
