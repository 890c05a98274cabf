"""`make demo`: deploys the whole platform and shows what it does, through the interfaces that every user has."""
