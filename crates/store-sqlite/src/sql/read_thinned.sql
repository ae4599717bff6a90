SELECT name, past FROM thinned
